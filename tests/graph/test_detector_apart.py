"""The detector of swaps reports; nothing that learns or makes pictures can see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness.contracts.closure import Walker, family_module
from likeness.contracts.documents import load_yaml
from likeness.contracts.families import family_names

DETECTOR = "likeness/metrics/forensics/"
MAY = {"traces", "detectability"}


def stages(repository: Path) -> list[str]:
    listed = [path.stem for path in (repository / "tasks").glob("*.py")]
    return sorted(name for name in listed if name != "__init__")


def test_only_its_own_stages_read_the_detector(repository: Path) -> None:
    walker = Walker(repository)
    seeing = {
        name
        for name in stages(repository)
        if any(p.startswith(DETECTOR) for p in walker.closure(repository / f"tasks/{name}.py"))
    }
    assert seeing == MAY


@pytest.mark.parametrize("room", ["models", "apps", "flows", "likeness/vision", "likeness/media"])
def test_no_module_of_a_room_reaches_it(repository: Path, room: str) -> None:
    modules = sorted((repository / room).rglob("*.py"))
    assert modules
    walker = Walker(repository)
    for module in modules:
        reached = [p for p in walker.closure(module) if p.startswith(DETECTOR)]
        assert not reached, f"{module.relative_to(repository)} imports {reached}"


def test_families_do_not_reach_it(repository: Path) -> None:
    walker, families = Walker(repository), family_names(repository)
    assert families
    for name in families:
        parts = walker.closure(family_module(name, repository))
        assert not [part for part in parts if part.startswith(DETECTOR)], name


def test_no_stage_reads_what_it_found(repository: Path) -> None:
    """Neither figures nor features are an input of anything that makes pictures or models."""
    for file in ("dvc.yaml", "tasks/clip.dvc.yaml"):
        for name, entry in load_yaml(repository / file)["stages"].items():
            deps = entry.get("do", entry).get("deps") or []
            found = [d for d in deps if str(d).startswith(("data/traces", "data/detectability"))]
            assert found == (["data/traces"] if name == "detectability" else []), name
