"""Every family of the registry may be named in params.yaml: DVC reads it, its stage accepts it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from flows.additions import add_clip, check_new_clip
from flows.graph import Graph, read_graph
from likeness.contracts.pools import load_model
from models.swappers import registry
from tasks.train import check_settings
from tests.footage import make_clip
from tests.house import change_params, copy_repository, write_consent
from tests.swapper_cases import TINY

FAMILIES = registry.names()


def slug(family: str) -> str:
    return family.replace("_", "-")


@pytest.fixture(scope="module")
def house(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two identities, a clip each, and a model and a swap of every family."""
    root = copy_repository(repository, tmp_path_factory.mktemp("families") / "repo")
    for identity, role in (("ann", "source"), ("ben", "target")):
        write_consent(root, identity)
        film = make_clip(root.parent / f"{identity}.mp4", frames=2, size=(64, 48))
        consent = f"{identity}-2026"
        with contextlib.chdir(root):
            new = check_new_clip(
                film, Path(), identity=identity, role=role, consent=consent, clip=f"{identity}-1"
            )
            add_clip(new, Path(), say=lambda _text: None)
    pair = {"source": "ann", "target": "ben"}
    change_params(
        root,
        models={f"ab-{slug(f)}": {"family": f, **pair, **TINY[f]} for f in FAMILIES},
        swaps={
            f"on-{slug(f)}": {"source": "ann", "target": "ben-1", "model": f"ab-{slug(f)}"}
            for f in FAMILIES
        },
    )
    return root


@pytest.fixture(scope="module")
def graph(house: Path) -> Graph:
    return read_graph(house)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_depends_on_its_own_family_alone(graph: Graph, family: str) -> None:
    node = graph.nodes[f"train@ab-{slug(family)}"]
    files = {path for path in node.dependencies if path.startswith("data/code/")}
    assert files == {"data/code/train.txt", f"data/code/families/{family}.txt"}
    assert set(graph.upstream[node.address]) >= {
        f"data/identities/{name}/dvc.yaml:shard" for name in ("ann", "ben")
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_swap_follows_from_its_model(graph: Graph, family: str) -> None:
    names = [graph.nodes[a].name for a in graph.below(f"train@ab-{slug(family)}")]
    assert {"convert", "blend", "evaluate", "publish"} <= set(names)
    others = {f"train@ab-{slug(other)}" for other in FAMILIES if other != family}
    assert not others & set(graph.below(f"train@ab-{slug(family)}"))


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_in_the_file_reach_the_family(house: Path, family: str) -> None:
    model = f"ab-{slug(family)}"
    given = check_settings(model, house / "params.yaml")
    assert load_model(model, house / "params.yaml").family == family
    assert {key: given[key] for key in TINY[family]} == TINY[family]
    assert registry.configure(family, given).model_dump(mode="json") == given


def test_dvc_repro_plans_every_family(house: Path) -> None:
    command = [sys.executable, "-m", "dvc", "repro", "--dry", "--force"]
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for family in FAMILIES:
        for address in (f"train@ab-{slug(family)}", f"publish@on-{slug(family)}"):
            assert f"Running stage '{address}'" in done.stdout


def test_a_model_alone_runs_its_people_and_their_clips(house: Path) -> None:
    """Their stages stand in dvc.yaml files of their own; DVC finds them through the paths."""
    command = [sys.executable, "-m", "dvc", "repro", "--dry", "--force", "train@ab-mesh-transfer"]
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("ann", "ben"):
        for stage in ("roster", "shard"):
            assert f"Running stage 'data/identities/{name}/dvc.yaml:{stage}'" in done.stdout
        assert f"Running stage 'data/clips/{name}-1/dvc.yaml:align'" in done.stdout
    assert "tasks.appearance" not in done.stdout
