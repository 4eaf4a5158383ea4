"""The reader of DVC's graph, on this repository and on a small one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.graph import read_graph
from flows.graph_layout import place, reduce
from flows.pictures import draw_graph
from flows.status import read_state, will_run
from likeness.contracts.errors import GraphError
from tests.flows.stub import dvc

KNOBS = "params: [blend]\n    outs: [data/packs/p]"


def test_this_repository_has_the_stages_of_the_house(repository: Path) -> None:
    graph = read_graph(repository)
    names = {node.name for node in graph.stages}
    assert names >= {"frames", "detect", "filter", "align", "roster", "shard", "train"}
    assert names >= {"convert", "blend", "evaluate", "publish"}
    assert all(node.resource in {"io", "compute", "network"} for node in graph.stages)
    assert all(node.description for node in graph.stages)


def test_each_stage_stands_after_its_upstream(repository: Path) -> None:
    graph = read_graph(repository)
    place_of = {address: i for i, address in enumerate(graph.nodes)}
    for address, above in graph.upstream.items():
        assert all(place_of[other] < place_of[address] for other in above)


def test_crops_of_a_clip_lead_to_the_data_set_of_its_identity(stub: Path) -> None:
    graph = read_graph(stub)
    assert graph.upstream["shard@ann"] == ("data/clips/ann-1/dvc.yaml:align",)
    assert graph.nodes["data/clips/ann-1/dvc.yaml:align"].label == "align ann-1"
    assert graph.below("data/clips/ann-1/dvc.yaml:align")[-1] == "publish@ann-on-ben"
    assert "shard@ben" not in graph.below("shard@ann")


PARAMS = """\
blend: {feather: 0.045, erode: 2, tags: [a, b]}
"""


def test_a_reason_names_the_key_that_changed(stub: Path) -> None:
    text = (stub / "dvc.yaml").read_text()
    (stub / "dvc.yaml").write_text(text.replace("outs: [data/packs/p]", KNOBS, 1))
    (stub / "params.yaml").write_text(PARAMS)
    assert read_state(stub)[1]["pack"] == ("never ran",)
    dvc(stub, "repro", "pack")
    assert "pack" not in read_state(stub)[1]
    changed = PARAMS.replace("0.045", "0.1").replace("erode: 2", "sharpen: true")
    (stub / "params.yaml").write_text(changed)
    assert read_state(stub)[1]["pack"] == (
        "blend.feather 0.045 -> 0.1",
        "blend.sharpen true (new)",
        "blend.erode 2 (removed)",
    )
    # The locks of the clips' stages were written by nobody: they have not run.
    assert read_state(stub)[1]["shard@ann"] == ("never ran",)


def test_a_swap_is_what_it_is_made_from(stub: Path) -> None:
    part = read_graph(stub).swap("ann-on-ben")
    assert len(part.stages) == 9
    with pytest.raises(GraphError, match=r"no such swap; known: ann-on-ben"):
        read_graph(stub).swap("nobody")


def test_unknown_stage_lists_similar_ones(stub: Path) -> None:
    with pytest.raises(GraphError, match=r"known: shard@ann, shard@ben"):
        read_graph(stub).find("shard@eve")


def test_a_broken_file_is_one_line(stub: Path) -> None:
    root = stub
    (root / "dvc.yaml").write_text("stages:\n  a:\n    cmd: [\n")
    with pytest.raises(GraphError) as caught:
        read_graph(root)
    assert "\n" not in str(caught.value)


def test_status_says_why_and_what_follows(built: Path) -> None:
    root = built
    graph, stale = read_state(root)
    assert stale == {}
    assert will_run(graph, stale) == []
    (root / "data/clips/ben-1/footage.txt").write_text("another take")
    graph, stale = read_state(root)
    assert "input data/clips/ben-1/footage.txt modified" in stale["data/clips/ben-1/dvc.yaml:align"]
    assert will_run(graph, stale) == [
        "data/clips/ben-1/dvc.yaml:align",
        "shard@ben",
        "train@ann-ben",
        "convert@ann-on-ben",
        "blend@ann-on-ben",
        "publish@ann-on-ben",
    ]


def test_picture_shows_only_edges_that_no_longer_path_implies(stub: Path) -> None:
    edges = {"a": set(), "b": {"a"}, "c": {"a", "b"}}
    assert reduce(edges) == {"a": set(), "b": {"a"}, "c": {"b"}}
    graph = read_graph(stub)
    boxes, kept = place(graph)
    for key, above in kept.items():
        assert all(boxes[other].column < boxes[key].column for other in above)
    places = [(box.column, box.row) for box in boxes.values()]
    assert len(set(places)) == len(places)  # no box upon another


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_picture_is_the_same_each_time(stub: Path, kind: str) -> None:
    graph = read_graph(stub)
    states = dict.fromkeys(graph.nodes, "ran")
    first = draw_graph(graph, states, kind)
    assert first.startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    assert draw_graph(graph, states, kind) == first


def test_many_clips_are_drawn_as_one_box_each_identity(stub: Path) -> None:
    root = stub
    for number in range(2, 12):
        home = root / f"data/clips/ann-{number}"
        shutil.copytree(root / "data/clips/ann-1", home)
        text = (home / "dvc.yaml").read_text().replace("ann-1", f"ann-{number}")
        (home / "dvc.yaml").write_text(text)
    boxes, _ = place(read_graph(root))
    assert {b.subtitle for b in boxes.values() if b.title == "align"} == {"ann (11 clips)", "ben-1"}
