"""Which files of this repository decide what a training makes of its data."""

from __future__ import annotations

from pathlib import Path

from likeness.contracts.closure import Walker, family_module

ROOT = Path(__file__).resolve().parents[2]
BEGIN = ("loop", "run", "steps")
"""Modules of this room from which everything that moves weights is reached."""
WAITS = "models/__init__.py"
"""How threads wait for each other, which changes no result."""
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


def _looks_on(path: Path) -> bool:
    return path.parent.name == "training" and path.stem in LOOKING


def code_behind(family: str) -> list[Path]:
    """The files that decide the weights of a model of `family`: its own parts, and the loop's."""
    loop = [ROOT / "models" / "training" / f"{name}.py" for name in BEGIN]
    found = Walker(ROOT).closure(family_module(family, ROOT), *loop)
    parts = [ROOT / path for path in found if path.startswith("models/") and path != WAITS]
    return [path for path in parts if not _looks_on(path)]
