"""dvc.lock read whole, while DVC may be rewriting it.

DVC rewrites dvc.lock in place: a reader may meet an empty file, or the first half, which often
parses. What is returned was complete. Each file is parsed once per change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from likeness.contracts.dvclock import held
from likeness.contracts.errors import GraphError

LOCK = "dvc.lock"

PAUSE_S = 0.1
"""Seconds between two reads that must agree."""

YOUNG_S = 2.0
"""A file that has not changed for so many seconds is read once: nobody is writing it."""

QUIET_S = 5.0
"""A file that is incomplete and has not changed for so long will stay so."""

HELD_S = 1.0
"""Seconds to wait for DVC's lock; after that, two reads that agree must do."""

Signature = tuple[int, int, int, int]
T = TypeVar("T")

_parsed: dict[Path, tuple[Signature, dict[str, Any]]] = {}
_guard = threading.Lock()


class TornError(GraphError):
    """A lock file that is cut off, or lacks a stage which must be in it."""


def signature(path: Path) -> Signature | None:
    """What changes whenever a file is written; None if there is no file."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino


def lock_files(root: Path) -> list[Path]:
    """The root's dvc.lock and those beside clips, as far as they exist."""
    found = [root / LOCK, *sorted(root.glob(f"data/*/*/{LOCK}"))]
    return [path for path in found if path.is_file()]


def quiet_s(root: Path) -> float:
    """Seconds since any lock file changed; a large number if there is none."""
    ages = [time.time() - sign[0] / 1e9 for path in lock_files(root) if (sign := signature(path))]
    return max(0.0, min(ages, default=1e9))


def read_lock(path: Path, root: Path) -> dict[str, Any]:
    """Stages of a dvc.lock: name -> entry; none if there is no such file. Not to be changed.

    Args:
        path: the lock file.
        root: folder of the repository, whose lock is held for the moment of reading.

    Raises:
        TornError: the file is cut off or damaged, and nobody is writing it.
    """
    sign = signature(path)
    if sign is None:
        return {}
    with _guard:
        known = _parsed.get(path.absolute())
    if known and known[0] == sign:
        return known[1]
    sign, text = _settled(path, root)
    stages = _stages(text)
    if stages is None:
        step = f"restore it (`git checkout {path}`) or delete it, then run `dvc repro`"
        raise TornError(path, "is cut off or no valid YAML", step)
    with _guard:
        _parsed[path.absolute()] = (sign, stages)
    return stages


def _settled(path: Path, root: Path) -> tuple[Signature, bytes]:
    """Content that two reads agree on, complete if the file becomes so; else what it stays at."""
    until = time.monotonic() + 2 * QUIET_S
    while True:
        with held(root, wait_s=HELD_S):
            sign, text = _look(path)
        if time.time() - sign[0] / 1e9 < YOUNG_S:
            time.sleep(PAUSE_S)
            if _look(path) != (sign, text):
                continue
        whole = _stages(text) is not None
        if whole or time.time() - sign[0] / 1e9 > QUIET_S or time.monotonic() > until:
            return sign, text
        time.sleep(PAUSE_S)


def _look(path: Path) -> tuple[Signature, bytes]:
    sign = signature(path)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return (0, 0, 0, 0), b"{}\n"
    return sign or (0, 0, 0, 0), text


def _stages(text: bytes) -> dict[str, Any] | None:
    """Stages of a complete file; None if it is cut off."""
    if not text.endswith((b"\n", b"}")):  # DVC's last line, or a mapping in braces, has its end
        return None
    try:
        content = YAML(typ="safe").load(text)  # parsed in C, as DVC itself does
    except (YAMLError, ValueError):
        return None
    if content is None or not isinstance(content, dict):
        return None
    stages = content.get("stages", {})
    if not isinstance(stages, dict) or not all(map(_is_whole, stages.values())):
        return None
    return stages


def _is_whole(entry: object) -> bool:
    """Whether an entry may be all that DVC wrote of a stage."""
    if not isinstance(entry, dict) or "cmd" not in entry:
        return False
    listed = [*(entry.get("deps") or ()), *(entry.get("outs") or ())]
    return all(isinstance(item, dict) and item.keys() - {"path", "hash"} for item in listed)


def retried(work: Callable[[], T], root: Path) -> T:
    """`work()`, again as long as it misses a stage while lock files are being written.

    Raises:
        TornError: it still misses one, and nothing has changed for QUIET_S seconds.
    """
    until = time.monotonic() + 4 * QUIET_S
    while True:
        try:
            return work()
        except TornError:
            if quiet_s(root) > QUIET_S or time.monotonic() > until:
                raise
        time.sleep(PAUSE_S)


def signatures(root: Path) -> Iterator[tuple[Path, Signature | None]]:
    """Every lock file with its signature, once it is complete.

    Raises:
        TornError: one is damaged, and nobody is writing it.
    """
    for path in lock_files(root):
        read_lock(path, root)
        yield path, signature(path)
