"""People live in folders of their own: branches that add somebody merge, old files move over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flows.graph import read_graph
from flows.identities import move_identities, without_section
from flows.merging import merge_locks
from flows.process import environment
from likeness.contracts.catalog import identity_names
from likeness.contracts.errors import CatalogError, ParamsError
from tests.footage import make_clip
from tests.house import copy_repository, write_consent

STAGES = ("roster", "shard", "appearance")


def command(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=root,
        env={**environment(), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def git(root: Path, *words: str) -> str:
    """Run git as somebody who has a name; fails the test with what it said."""
    named = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    done = command(root, "git", *named, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def likeness(root: Path, *words: str) -> str:
    done = command(root, sys.executable, "-m", "flows.cli", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def house(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_repository(repository, tmp_path_factory.mktemp("people") / "repo")
    for name in ("ann", "ben"):
        write_consent(root, name)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "empty")
    return root


def test_two_branches_that_each_add_somebody_merge(house: Path) -> None:
    """With real git and real DVC, whose lock at the root both have written."""
    start = git(house, "rev-parse", "HEAD").strip()
    for name in ("ann", "ben"):
        git(house, "checkout", "-qb", name, start)
        film = make_clip(house.parent / f"{name}.mp4", frames=3, size=(64, 48))
        given_ = ("--identity", name, "--role", "target", "--consent", f"{name}-2026", "--yes")
        likeness(house, "add", str(film), *given_)
        person = f"data/identities/{name}/dvc.yaml:roster"
        done = command(house, sys.executable, "-m", "dvc", "repro", "names", person)
        assert done.returncode == 0, done.stdout + done.stderr
        git(house, "add", "-A")
        git(house, "commit", "-qm", f"add {name}")
    git(house, "merge", "-q", "--no-edit", "ann")
    assert git(house, "status", "--porcelain") == ""
    assert identity_names(house / "data") == ["ann", "ben"]
    done = command(house, sys.executable, "-m", "dvc", "repro", "names")
    assert "Running stage 'names'" in done.stdout, done.stderr
    assert (house / "data/people.json").read_text().split('"')[3::2] == ["ann", "ben"]
    graph = read_graph(house)
    for name in ("ann", "ben"):
        own = {f"data/identities/{name}/dvc.yaml:{stage}" for stage in STAGES}
        assert own <= set(graph.below(f"data/clips/{name}/dvc.yaml:align")) | set(
            graph.above(f"data/identities/{name}/dvc.yaml:shard")
        )
        assert graph.find(f"shard@{name}") == f"data/identities/{name}/dvc.yaml:shard"


def lock_of(**hashes: str) -> str:
    stages = [f"  {name}:\n    cmd: x\n    md5: {md5}\n" for name, md5 in hashes.items()]
    return "schema: '2.0'\nstages:\n" + "".join(stages)


def test_locks_are_merged_by_stages(tmp_path: Path) -> None:
    """What one side ran is taken from it; what both ran differently runs once more."""
    sides = {
        "base": lock_of(same="1", mine="1", theirs="1", both="1", gone="1"),
        "ours": lock_of(same="1", mine="2", theirs="1", both="2", gone="1", new_a="1", alike="1"),
        "theirs": lock_of(same="1", mine="1", theirs="2", both="3", new_b="1", alike="1"),
    }
    paths = [tmp_path / name for name in sides]
    for path, text in zip(paths, sides.values(), strict=True):
        path.write_text(text)
    merge_locks(*paths)
    expected = lock_of(same="1", mine="2", theirs="2", new_a="1", alike="1", new_b="1")
    assert YAML(typ="safe").load(paths[1].read_text()) == YAML(typ="safe").load(expected)


LOCK = """\
schema: '2.0'
stages:
  pack:
    cmd: python -m tasks.pack
  roster@ann:
    cmd: python -m tasks.roster
    outs:
    - path: data/rosters/ann.json
      hash: md5
      md5: 00000000000000000000000000000001
      size: 1
  shard@ann:
    cmd: python -m tasks.shard
"""
OLD = """\
pack:
  name: embedded  # or another

# Who is enrolled.
identities:
  ann:  # the tall one
    consent: ann-2026
  # gone
  ben:
    consent: ben-2026

# Models.
models: {}
"""


def test_an_old_params_file_moves_over(house: Path, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/identity.dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(OLD)
    (tmp_path / "dvc.lock").write_text(LOCK)
    folders = move_identities(tmp_path)
    assert [folder.name for folder in folders] == ["ann", "ben"]
    assert identity_names(tmp_path / "data") == ["ann", "ben"]
    assert (folders[0] / "dvc.yaml").read_text() == "stages: {}\n"
    text = (tmp_path / "params.yaml").read_text()
    assert YAML(typ="safe").load(text) == {"pack": {"name": "embedded"}, "models": {}}
    assert text.endswith("\n# Models.\nmodels: {}\n")
    read = YAML(typ="safe").load
    assert list(read((tmp_path / "dvc.lock").read_text())["stages"]) == ["pack"]
    moved = read((folders[0] / "dvc.lock").read_text())["stages"]
    assert list(moved) == ["roster", "shard"]
    assert moved["roster"]["outs"][0]["path"] == "data/rosters/ann.json"
    assert not (folders[1] / "dvc.lock").exists()
    assert move_identities(tmp_path) == []


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("  ann; touch x: {consent: a}", CatalogError),
        ("  ../ann: {consent: a}", CatalogError),
        ("  ann: {consent: ../a}", CatalogError),
        ("  ann: {}", ParamsError),
        ("  1: 2", ParamsError),
        ("  - ann", ParamsError),
    ],
)
def test_entries_that_are_not_allowed_move_nothing(
    tmp_path: Path, entry: str, error: type[Exception]
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"identities:\n{entry}\n")
    with pytest.raises(error):
        move_identities(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


SECTIONS = st.sampled_from(
    ["pack:\n  name: x", "identities:\n  a: {consent: b}", "models: {}", "swaps:\n  - 1\n"]
)


@given(st.lists(SECTIONS, unique=True), st.sampled_from(["\n", "\n\n", "\n# about\n"]))
def test_one_section_goes_and_the_others_stay(sections: list[str], between: str) -> None:
    text = between.join(sections) + "\n"
    before = YAML(typ="safe").load(text) or {}
    after = YAML(typ="safe").load(without_section(text, "identities")) or {}
    assert after == {key: value for key, value in before.items() if key != "identities"}


def test_an_old_section_is_told_by_every_door(house: Path) -> None:
    """One line that says how to move, from plain `dvc repro`, too."""
    params = house / "params.yaml"
    text = params.read_text()
    params.write_text(text + "\nidentities:\n  ann:\n    consent: ann-2026\n")
    line = params.read_text().splitlines().index("identities:") + 1
    said = f"params.yaml:{line}: people have folders of their own now (data/identities/); "
    try:
        doors = (["flows.cli", "swap"], ["flows.cli", "list"], ["dvc", "repro", "names"])
        for door in doors:
            done = command(house, sys.executable, "-m", *door)
            assert done.returncode != 0, door
            assert f"error: {said}run `likeness sync` to move them" in done.stderr, door
        assert "moved 1 identities" in likeness(house, "sync", "--yes")
        assert params.read_text().rstrip() == text.rstrip()
    finally:
        params.write_text(text)
