"""The real graph on real faces: what one more clip runs, bad input, and killed stages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from flows.additions import add_clip, check_new_clip
from flows.graph import StageNode, read_graph
from flows.preflight import check_repository
from flows.process import environment, group_members
from flows.run import dvc_command, repro, repro_once
from flows.status import read_state, will_run
from likeness.contracts.errors import LikenessError
from likeness.contracts.tables.faces import FACES
from likeness.media.footage import open_footage
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.provenance.lineage import read_locks
from likeness.provenance.record import clips_behind
from tests.house import change_params, copy_repository, cut, link_downloads, write_consent

pytestmark = pytest.mark.slow(seconds=1)

WOMAN, MAN = "WolfgangLanger_Pexels.mp4", "single_face.mp4"
SWAP = "woman-on-man"


def add(root: Path, film: Path, identity: str, role: str, clip: str) -> None:
    with contextlib.chdir(root):
        here = Path()
        consent = f"{identity}-2026"
        new = check_new_clip(film, here, identity=identity, role=role, consent=consent, clip=clip)
        add_clip(new, here, say=lambda _text: None)


@pytest.fixture(scope="session")
def films(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    footage = shared / "footage"
    return {
        "woman-1": cut(footage / WOMAN, folder / "woman-1.mp4", range(0, 192, 12)),
        "woman-2": cut(footage / WOMAN, folder / "woman-2.mp4", range(240, 400, 10)),
        "man-1": cut(footage / MAN, folder / "man-1.mp4", range(0, 60, 5)),
        "man-2": cut(footage / MAN, folder / "man-2.mp4", range(2, 50, 6)),
    }


@pytest.fixture(scope="session")
def rebuilt(
    repository: Path, films: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A repository with one clip each of source and target and one swap, up to date."""
    root = copy_repository(repository, tmp_path_factory.mktemp("house") / "repo")
    link_downloads(repository, root)
    for identity in ("woman", "man"):
        write_consent(root, identity)
    add(root, films["woman-1"], "woman", "source", "woman-1")
    add(root, films["man-1"], "man", "target", "man-1")
    entry = {"source": "woman", "target": "man"}
    change_params(
        root,
        models={"mesh": {"family": "mesh_transfer", **entry}},
        swaps={SWAP: {"source": "woman", "target": "man-1", "model": "mesh"}},
    )
    repro(root=root)
    return root


@pytest.fixture
def house(rebuilt: Path, tmp_path: Path) -> Path:
    """A copy of `rebuilt` of one's own, with its cache."""
    return Path(shutil.copytree(rebuilt, tmp_path / "repo", symlinks=True))


def ran(root: Path) -> set[str]:
    return {run.address for run in repro(root=root) if run.state == "ran"}


def ran_for(root: Path, targets: list[str]) -> set[str]:
    return {run.address for run in repro(targets, root=root) if run.state == "ran"}


@pytest.mark.slow(seconds=37)
def test_everybody_is_up_to_date_whether_a_swap_uses_them_or_not(rebuilt: Path) -> None:
    """The target's own views are read by no swap, and are asked for by `views` alone."""
    found = json.loads((rebuilt / "data/views/metrics.json").read_text())["identities"]
    assert set(found) == {"woman", "man"}
    assert found["man"]["crops"] > 0
    assert found["man"]["yaw_deg"]["from"] <= found["man"]["yaw_deg"]["to"]
    assert will_run(*read_state(rebuilt)) == []


LOOKS = {f"data/identities/{name}/dvc.yaml:roster" for name in ("woman", "man")} | {"names"}
"""Stages that always look, and run nothing below them while what they find stays the same."""


@pytest.mark.slow(seconds=34)
def test_one_more_clip_of_the_source_runs_exactly_what_it_reaches(
    house: Path, films: dict[str, Path]
) -> None:
    add(house, films["woman-2"], "woman", "source", "woman-2")
    new, person = "data/clips/woman-2/dvc.yaml", "data/identities/woman/dvc.yaml"
    assert ran(house) == {
        f"{new}:frames", f"{new}:detect", f"{new}:filter", f"{new}:align", f"{new}:embed",
        f"{person}:shard", f"{person}:appearance", "train@mesh",
        f"convert@{SWAP}", f"blend@{SWAP}", f"baselines@{SWAP}", f"evaluate@{SWAP}",
        f"publish@{SWAP}", f"traces@{SWAP}", "detectability", f"probes@{SWAP}", "retrieval",
        "views",
    } | LOOKS  # fmt: skip
    assert ran(house) == LOOKS


def test_a_pack_of_ones_own_needs_its_threshold_and_then_finds_the_same(house: Path) -> None:
    """Through `dvc repro`: any folder that FaceAnalysis accepts, here under other names."""
    own = house / "data/weights/my_pack"
    own.mkdir()
    for file, role in {"a.onnx": "det_retinaface", "b.onnx": "rec_mobilefacenet"}.items():
        shutil.copyfile(house / f"data/packs/embedded/{role}.onnx", own / file)
    wanted = ["dvc", "repro", "data/clips/woman-1/dvc.yaml:filter"]
    change_params(house, pack={"name": "my_pack"})
    done = subprocess.run(
        [sys.executable, "-m", *wanted], cwd=house, env=environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "error: pack `my_pack`: has no threshold" in done.stderr
    change_params(house, pack={"name": "my_pack", "threshold": 0.3})
    subprocess.run([sys.executable, "-m", *wanted], cwd=house, env=environment(), check=True)
    faces = FACES.check(house / "data/clips/woman-1/faces.parquet")
    assert (faces["pack"], faces["threshold"]) == ("my_pack", 0.3)
    assert FACES.count(house / "data/clips/woman-1/faces.parquet") > 8


POOLED = "woman-on-man-any"


def add_pool(root: Path, repository: Path) -> None:
    """A pool that holds the man out, a model of it, one that continues it, and a swap of him."""
    family = root / "models/swappers/any_face"
    family.mkdir()
    shutil.copyfile(repository / "tests/anyface.py", family / "swapper.py")
    small = {"images": 8, "batch_images": 4}
    change_params(
        root,
        pools={"people": {"identities": "all", "held_out": ["man"]}},
        models={
            "mesh": {"family": "mesh_transfer", "source": "woman", "target": "man"},
            "any": {"family": "any_face", "source": "people", "target": "people", "train": small},
        },
        finetuned={
            "pair": {"init_from": "any", "family": "any_face", "source": "woman", "target": "man"}
        },
        swaps={
            SWAP: {"source": "woman", "target": "man-1", "model": "mesh"},
            POOLED: {"source": "woman", "target": "man-1", "model": "any"},
        },
    )


@pytest.mark.slow(seconds=61)
def test_a_pool_trains_on_its_members_alone_and_anew_only_for_them(
    house: Path, repository: Path, films: dict[str, Path]
) -> None:
    add_pool(house, repository)
    ends = [f"convert@{POOLED}", "finetune@pair"]
    # The family is new, and so is its list of code.
    assert ran_for(house, ends) == {"code", "pool@people", "train@any", *ends} | LOOKS
    config = json.loads((house / "data/models/any/config.json").read_text())
    assert config["pools"] == {"source": ["woman"], "target": ["woman"]}
    upstream = read_locks(house).upstream(["data/models/any"])
    assert [clip.clip for clip in clips_behind(upstream, house)] == ["woman-1"]
    # More footage of the man is none of the pool's business: what names him runs, and no more.
    add(house, films["man-2"], "man", "target", "man-2")
    own = {f"data/clips/man-2/dvc.yaml:{s}" for s in ("frames", "detect", "filter", "align")}
    assert (
        ran_for(house, ends)
        == {
            "data/identities/man/dvc.yaml:shard",
            "pool@people",
            "finetune@pair",
        }
        | own
        | LOOKS
    )
    assert ran_for(house, ends) == LOOKS
    # More footage of a member reaches the pool, its model, and what continues or uses that.
    add(house, films["woman-2"], "woman", "source", "woman-2")
    own = {f"data/clips/woman-2/dvc.yaml:{s}" for s in ("frames", "detect", "filter", "align")}
    person = {f"data/identities/woman/dvc.yaml:{s}" for s in ("shard", "appearance")}
    reached = {"pool@people", "train@any", *ends} | person
    assert ran_for(house, ends) == reached | own | LOOKS
    upstream = read_locks(house).upstream(["data/models/any"])
    assert [clip.clip for clip in clips_behind(upstream, house)] == ["woman-1", "woman-2"]
    assert ran_for(house, ends) == LOOKS
    # Training is no longer agreed to: the pool says so before anything is trained.
    write_consent(house, "woman", training="false")
    with pytest.raises(LikenessError, match=r"pools.people: leaves nobody to train on"):
        ran_for(house, ends)


def test_another_pack_reruns_what_reads_it(house: Path) -> None:
    """Weights are dependencies: here one file of the pack differs by a byte."""
    graph = read_graph(house)
    below = {graph.nodes[a].name for a in graph.below("pack")}
    assert below == {
        "pack", "detect", "filter", "align", "embed", "shard", "train", "convert", "blend",
        "evaluate", "publish", "judge", "traces", "detectability", "probes", "retrieval",
        "appearance", "baselines", "views",
    }  # fmt: skip


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


BAD: list[tuple[str, str, str, list[str]]] = [
    ("params.yaml", "swaps:", "swops: {}\nswaps:", ["unknown section `swops`", "`swaps`"]),
    ("params.yaml", "    model: mesh", "    model: mosh", ["names no model", "`mesh`"]),
    ("params.yaml", "    model: mesh", "    modell: mesh", ["unknown key", "did you mean `model`"]),
    ("params.yaml", "    target: man-1", "    target: [man-1]", ["swaps.", "string"]),
    ("params.yaml", "    target: man-1", "    target: ../man-1", ["names no clip"]),
    ("params.yaml", "family: mesh_transfer", "family: mesh", ["names no family", "mesh_transfer"]),
    ("data/identities/man/identity.yaml", "consent:", "consnt:", ["did you mean `consent`"]),
    ("data/identities/man/identity.yaml", "identity: man", "identity: a;b", ["no valid identity"]),
    ("params.yaml", "swaps:", "identities: {a: {consent: b}}\nswaps:", ["run `likeness sync`"]),
    ("data/clips/man-1/clip.yaml", "role: target", "role: extra", ["clip.yaml:3", "'target'"]),
    ("data/clips/man-1/clip.yaml", "role:", "rolle:", ["did you mean `role`"]),
    ("data/clips/man-1/clip.yaml", "clip: man-1", "clip: ../man-1", ["no valid clip name"]),
    ("data/clips/man-1/clip.yaml", "consent: man-2026", "consent: none-1",
     ["data/consents/none-1.yaml", "no consent record for `man`"]),
    ("data/consents/man-2026.yaml", "  - target\n", "", ["allows source, not `target`"]),
    ("data/consents/man-2026.yaml", "basis:", "bassis:", ["did you mean `basis`"]),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=[f"{case[0]} {case[2].strip()}" for case in BAD])
def test_bad_settings_are_one_line_with_place_and_choice(
    rebuilt: Path, tmp_path: Path, case: tuple[str, str, str, list[str]]
) -> None:
    file, old, new, words = case
    root = tmp_path / "repo"
    shutil.copytree(
        rebuilt, root, ignore=shutil.ignore_patterns(".dvc", ".git", ".likeness", "*.parquet")
    )
    edit(root / file, old, new)
    with pytest.raises(LikenessError) as caught:
        check_repository(root)
    message = str(caught.value)
    assert "\n" not in message
    assert Path(file).name.partition(".")[0] in message or file.startswith("data/clips")
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("section", "address"),
    [("frames", "data/clips/man-1/dvc.yaml:frames"), ("blend", f"blend@{SWAP}")],
)
def test_a_stage_names_the_line_of_an_unknown_key(house: Path, section: str, address: str) -> None:
    path = house / "params.yaml"
    edit(path, f"\n{section}:", f"\n{section}:\n  bogus: 1")
    line = path.read_text().splitlines().index("  bogus: 1") + 1
    done = repro_once([address], single=True, root=house)
    assert done.code != 0
    assert done.error.startswith(f"params.yaml:{line}: unknown key `{section}.bogus`; ")
    assert "allowed: " in done.error


# --- Stages that are killed --------------------------------------------------------------------


def stage_process(group: int, name: str) -> int:
    """Number of the stage's own process in DVC's group, 0 if it is not there (yet)."""
    for number in group_members(group):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
            if f"tasks.{name}".encode() in words and words[0].endswith(b"python"):
                return number
    return 0


def hit(root: Path, node: StageNode, number: int, everyone: bool) -> bool:
    """Start one stage through DVC and send it a signal as soon as it begins to write.

    Returns:
        Whether the signal met it; False if it was done before.
    """
    temporary = [root / Path(o).parent / f".tmp-{Path(o).name}" for o in node.outputs]
    for path in temporary:
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.unlink()
    child = subprocess.Popen(
        dvc_command("repro", "--force", "--single-item", node.address),
        cwd=root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    stage = 0
    while child.poll() is None:
        stage = stage or stage_process(child.pid, node.name)
        if stage and any(path.exists() for path in temporary):
            break
        time.sleep(0.002 if stage else 0.01)
    with contextlib.suppress(ProcessLookupError):
        if everyone:
            os.killpg(child.pid, number)  # as a terminal does on Ctrl-C
        elif stage:
            os.kill(stage, number)
    child.wait(timeout=60)
    return child.returncode != 0


def check_whole_or_absent(root: Path, node: StageNode, whole: dict[str, bytes]) -> None:
    """Whatever stands under the stage's final names is what a whole run writes."""
    for output in node.outputs:
        path = root / output
        if path.is_file():
            assert path.read_bytes() == whole[output], f"{output} is half a file"


@pytest.mark.slow(seconds=40)
@pytest.mark.parametrize(
    ("number", "everyone"),
    [(signal.SIGKILL, False), (signal.SIGINT, True)],
    ids=["kill-9", "ctrl-c"],
)
def test_every_stage_survives_being_killed(house: Path, number: int, everyone: bool) -> None:
    """Downstream first, so that each stage still finds its inputs; then one clean run mends all."""
    graph = read_graph(house)
    chosen = [
        node for node in reversed(graph.stages) if node.key in {"", "man-1", "woman", "mesh", SWAP}
    ]
    assert {node.name for node in chosen} == {
        "pack", "frames", "detect", "filter", "align", "embed", "roster", "shard", "train",
        "convert", "blend", "evaluate", "publish", "judge", "traces", "detectability", "probes",
        "retrieval", "appearance", "perceptual", "baselines", "names", "code", "views",
    }  # fmt: skip
    files = [house / o for node in graph.stages for o in node.outputs if (house / o).is_file()]
    whole = {str(path.relative_to(house)): path.read_bytes() for path in files}
    locks = {p: p.read_bytes() for p in [house / "dvc.lock", *house.glob("data/*/*/dvc.lock")]}
    met = 0
    for node in chosen:
        # A stage that was done before the signal came is tried again: small ones take no time.
        met += any(hit(house, node, number, everyone) for _ in range(3))
        check_whole_or_absent(house, node, whole)
    assert met >= len(chosen) - 2, "the signals came too late to mean anything"
    assert "failed" not in {run.state for run in repro(root=house)}
    assert {p: p.read_bytes() for p in locks} == locks
    assert {name: (house / name).read_bytes() for name in whole} == whole


OURS = {"woman-man-mesh": "mesh", "woman-on-man-mesh": SWAP, "man-portrait": "man-1"}
"""Names of the demo, as the documents have them -> those of this house."""
ONE_BY_ONE = """
import models, sys
for block in sys.argv[1:]:
    exec(compile(block, "docs/use-from-python.md", "exec"), {"__name__": "__main__"})
"""


def test_every_block_of_use_from_python_runs(house: Path, repository: Path) -> None:
    page = (repository / "docs/use-from-python.md").read_text(encoding="utf-8")
    for name, ours in OURS.items():
        page = page.replace(name, ours)
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```") / 2 == 5
    first = next(open_footage(house / "data/clips/man-1/footage.mp4").frames()).rgb()
    (house / "photo.jpg").write_bytes(encode_jpeg(first))
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, *blocks],
        cwd=house,
        env={**environment(), "PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mesh_transfer ")
    assert "(4, 3, 256, 256) (4, 1, 256, 256)" in done.stdout
    assert "data/clips/man-1/dvc.yaml:align" in done.stdout
    shown = decode_jpeg((house / "swapped.jpg").read_bytes())
    difference = np.abs(shown.astype(int) - first).mean(axis=2)
    height, width = difference.shape
    assert difference[-30:, -80:].mean() > 20  # the label
    assert difference[height // 3 : -height // 4, width // 3 : -width // 3].mean() > 5  # his face
    assert difference[:40, :100].mean() < 2  # a corner of the wall


def test_a_second_swap_runs_the_rosters_alone(house: Path) -> None:
    """The table names every stage, and the results that exist stand below it."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "swap", SWAP],
        cwd=house,
        env={**environment(), "PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    table = {
        line.split()[0]: line.split()[1] for line in lines if "  data/" in line and line[0] != " "
    }
    assert {address for address, state in table.items() if state == "ran"} == LOOKS
    assert table[f"publish@{SWAP}"] == "cached"
    assert set(table) == {node.address for node in read_graph(house).swap(SWAP).stages}
    for name in ("render.mp4", "published.mp4", "report/report.html"):
        assert f"  data/swaps/{SWAP}/{name}" in lines
