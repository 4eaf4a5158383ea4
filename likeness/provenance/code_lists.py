"""The code behind a result: the lists that its stages ran with, as stage `code` wrote them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from likeness.contracts.errors import GraphError
from likeness.contracts.listed_code import FOLDER, parsed
from likeness.provenance.ran import Ran


def is_list(path: str) -> bool:
    """Whether a path is one of the lists."""
    return path.startswith(f"{FOLDER.as_posix()}/")


def md5_of(path: Path) -> str:
    """DVC's hash of a file; "gone" if there is none."""
    if not path.is_file():
        return "gone"
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def code_behind(stages: Iterable[Ran], root: Path) -> dict[str, Any]:
    """Every file of code that `stages` could read, for JSON.

    Returns:
        "files": path -> sha256, "lists": path of a list -> md5 and paths of its files. Together
        they give each list again: lines `sha256  path`, sorted by path.

    Raises:
        GraphError: a list is not the one that its stage ran with.
    """
    found: dict[str, Any] = {}
    files: dict[str, str] = {}
    for path, recorded in sorted(_read_by(list(stages), root).items()):
        if recorded != (now := md5_of(root / path)):
            what = "is gone" if now == "gone" else "is not the list that its stages ran with"
            raise GraphError(path, what, "run `dvc repro`")
        listed = parsed((root / path).read_text(encoding="utf-8"))
        files |= listed
        found[path] = {"md5": recorded, "files": list(listed)}
    return {"files": dict(sorted(files.items())), "lists": found}


def _read_by(stages: list[Ran], root: Path) -> dict[str, str]:
    """List -> hash, for all that `stages` name; `names` and `code` run before there are any."""
    found = {dep.path: dep.md5 for stage in stages for dep in stage.deps if is_list(dep.path)}
    for stage in stages:
        path = f"{FOLDER.as_posix()}/{stage.name}.txt"
        if path not in found and (root / path).is_file():
            found[path] = md5_of(root / path)
    return found
