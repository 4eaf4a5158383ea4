"""Where a command may write: never among footage or what stages wrote, never over a file."""

from __future__ import annotations

from pathlib import Path

from likeness.contracts.catalog import DATA
from likeness.contracts.errors import LikenessError

KEPT = (str(DATA), ".dvc", ".git", ".likeness")
"""Folders that belong to the project itself."""


def require_folder(path: Path, root: Path = Path()) -> Path:
    """Return `path` if a command may fill it as a folder; it may be there or not.

    Raises:
        LikenessError: it lies where the project keeps its own, or a file is in the way.
    """
    there = path.resolve()
    if there == root.resolve():
        raise LikenessError("the folder to write to", "is the repository itself", "name a folder")
    for name in KEPT:
        kept = (root / name).resolve()
        if there.is_relative_to(kept):
            problem = f"lies in {name}, which belongs to the project"
            raise LikenessError(path, problem, "name a folder elsewhere")
    for part in (there, *there.parents):
        if part.exists() and not part.is_dir():
            shown = path if part == there else part
            raise LikenessError(shown, "is a file, not a folder", "name a folder")
    return path
