"""Which stages a change of the code reaches, before stage `code` has run: its lists in memory.

DVC alone sees that a room of code has changed, and lists everything below `code`. What differs are
a few lists, and in them a few files; those are the reasons that people see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from likeness.contracts.closure import lists
from likeness.contracts.listed_code import FOLDER, parsed

if TYPE_CHECKING:
    from dvc.repo import Repo

Reasons = dict[str, tuple[str, ...]]


def with_code(repo: Repo, stale: Reasons) -> Reasons:
    """`stale` with the files of code that changed in the place of lists that name them.

    Lists are made anew only where DVC finds the rooms changed. A stage whose list says what it said
    when it ran is not stale for it, whatever stands in data/code now.
    """
    now = lists(Path()) if any(a in stale for a in _writers(repo)) else None
    found = dict(stale)
    for stage in repo.index.stages:
        own = found.get(stage.addressing, ())
        for dependency in stage.deps:
            if name := _list_of(dependency, repo.root_dir):
                own = tuple(_reasons(repo, dependency, name, now, own))
        found[stage.addressing] = own
    return {address: why for address, why in found.items() if why}


def _writers(repo: Repo) -> Iterator[str]:
    """Address of the stage that writes the lists."""
    folder = str(Path(repo.root_dir) / FOLDER)
    for stage in repo.index.stages:
        if any(str(out.fs_path) == folder for out in stage.outs):
            yield stage.addressing


def _list_of(dependency: Any, root: str) -> str:
    """Name of a list below FOLDER; "" for any other dependency."""
    path = PurePath(str(dependency.fs_path))
    folder = PurePath(root) / FOLDER
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""


def _reasons(
    repo: Repo, dependency: Any, name: str, now: dict[str, str] | None, own: tuple[str, ...]
) -> Iterator[str]:
    """The reasons `own` of a stage, with those of one of its lists by file."""
    path = FOLDER / name
    text = now.get(name) if now is not None else _read(path)
    recorded = str(dependency.hash_info.value or "")
    if text is None or not recorded:  # DVC's own words: there is nothing to compare
        yield from own
        return
    yield from (why for why in own if not why.startswith(f"input {path.as_posix()} "))
    if _md5(text) != recorded:
        yield from _differences(_before(repo, path, recorded), text, path)


def _differences(before: str | None, text: str, path: Path) -> Iterator[str]:
    if before is None:
        yield f"input {path.as_posix()} modified"
        return
    old, new = parsed(before), parsed(text)
    for file in sorted({*old, *new}):
        if old.get(file) != new.get(file):
            how = "new" if file not in old else "gone" if file not in new else "modified"
            yield f"input {file} {how}"


def _before(repo: Repo, path: Path, recorded: str) -> str | None:
    """The list that a stage ran with, from the workspace or DVC's cache; None if both lost it."""
    for place in (path, Path(repo.cache.local.oid_to_path(recorded))):
        text = _read(place)
        if text is not None and _md5(text) == recorded:
            return text
    return None


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
