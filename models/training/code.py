"""Which files of this repository decide what a training makes of its data."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN = ("loop", "run", "steps")
"""Modules of this room from which everything that moves weights is reached."""
LOOKING = frozenset(
    [
        "callbacks",
        "checkpoint",
        "code",
        "continuation",
        "fingerprint",
        "footprint",
        "gallery",
        "model_config",
        "non_finite",
        "previews",
        "processes",
        "results",
        "saving",
        "snapshots",
        "source_views",
        "validation",
    ]
)
"""Modules of this room that show, keep or judge weights and move none."""


def imported(path: Path, prefixes: tuple[str, ...]) -> set[Path]:
    """A module and those that it imports at any depth, whose names begin with one of `prefixes`."""
    found, waiting = set[Path](), [path]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{name}" for name in names)]
            elif not isinstance(node, ast.Import):
                continue
            files = [
                ROOT.joinpath(*name.split(".")).with_suffix(".py")
                for name in names
                if name.startswith(prefixes)
            ]
            waiting += [file for file in files if file.is_file()]
    return found


def _looks_on(path: Path) -> bool:
    return path.parent.name == "training" and path.stem in LOOKING


def code_behind(family: str) -> list[Path]:
    """The files that decide the weights of a model of `family`: its own parts, and the loop's."""
    own = imported(ROOT / "models" / "swappers" / family / "swapper.py", ("models.",))
    loop = set[Path]()
    for name in BEGIN:
        loop |= imported(ROOT / "models" / "training" / f"{name}.py", ("models.",))
    return sorted(path for path in own | loop if not _looks_on(path))
