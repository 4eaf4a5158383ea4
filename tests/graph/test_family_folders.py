"""A family is one folder: rooms that families share hold nothing that one of them alone uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from models.swappers import registry

ROOMS = ("models.layers", "models.losses")
HOME = "models.swappers."
FAMILIES = registry.names()


def family_of(module: str) -> str | None:
    """The family in whose folder a module lies."""
    name = module.removeprefix(HOME).partition(".")[0]
    return name if module.startswith(HOME) and name in FAMILIES else None


def users(graph: grimp.ImportGraph, module: str) -> set[str]:
    """Families, and modules outside the shared rooms, that reach `module` through these rooms."""
    found, seen, waiting = set[str](), {module}, [module]
    while waiting:
        for user in graph.find_modules_that_directly_import(waiting.pop()) - seen:
            seen.add(user)
            if user.startswith(ROOMS):
                waiting.append(user)
            else:
                found.add(family_of(user) or user)
    return found


def misplaced(graph: grimp.ImportGraph) -> Iterator[str]:
    """Modules of the shared rooms that belong into a family's folder, or nowhere."""
    for room in ROOMS:
        for module in sorted(graph.find_descendants(room)):
            found = users(graph, module)
            if not found:
                yield f"{module} is used by nobody: delete it"
            elif found <= set(FAMILIES) and len(found) == 1:
                yield f"{module} is used by {found.pop()} alone: move it into that folder"


@pytest.fixture
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("flows", "tasks", "apps", "models", "likeness", cache_dir=None)


def test_shared_rooms_hold_what_two_families_or_the_training_use(graph: grimp.ImportGraph) -> None:
    assert list(misplaced(graph)) == []


def test_a_part_of_one_family_alone_is_found(graph: grimp.ImportGraph) -> None:
    """Also where that family reaches it through another shared part of its own."""
    for name in ("models.layers.first", "models.losses.second", "models.layers.idle"):
        graph.add_module(name)
    graph.add_import(importer=f"{HOME}cyclegan.swapper", imported="models.losses.second")
    graph.add_import(importer="models.losses.second", imported="models.layers.first")
    found = list(misplaced(graph))
    assert len(found) == 3
    assert all("cyclegan alone" in line for line in found if "idle" not in line)
    graph.add_import(importer=f"{HOME}pix2pix.config", imported="models.layers.first")
    graph.add_import(importer="models.training.loop", imported="models.losses.second")
    assert list(misplaced(graph)) == ["models.layers.idle is used by nobody: delete it"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_one_folder_and_one_card(repository: Path, family: str) -> None:
    folder = repository / "models/swappers" / family
    assert {"__init__.py", "config.py", "swapper.py", "tiny.py"} <= {
        p.name for p in folder.iterdir()
    }
    assert (repository / "docs/model_cards" / f"{family}.md").is_file()
