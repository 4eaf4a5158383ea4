"""Files and folders that appear whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".tmp-"
"""Temporary names start with this; git and DVC ignore them."""


def temporary_name(path: Path) -> Path:
    """Name beside `path` to write under; the same each time, so that a crash leaves at most one."""
    return path.with_name(PREFIX + path.name)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def prepare(path: Path) -> Path:
    """Clear and return the temporary name for `path`; makes its parent folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    _remove(temporary)
    return temporary


def commit(temporary: Path, path: Path) -> None:
    """Sync `temporary` (a file, or a folder with all below it) to disk and rename it to `path`."""
    if temporary.is_dir():
        for item in sorted(temporary.rglob("*")):
            _sync(item)
        _remove(path)
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder; rename it to `path` on success.

    On any exception, Ctrl-C included, the temporary is removed and `path` keeps what it held.
    """
    temporary = prepare(path)
    try:
        yield temporary
        commit(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 `content` to `path` atomically."""
    write_bytes(path, content.encode())
