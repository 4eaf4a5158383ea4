"""Links in what people bring: followed inside, refused where they lead out."""

from __future__ import annotations

import re
from pathlib import Path

from likeness.contracts.errors import FootageError

_CACHED = re.compile(r".*/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")
"""DVC's cache links footage to such names where `cache.type` is symlink."""


def require_inside(path: Path) -> None:
    """Check that `path`, if it is a link, leads to something in its own folder or DVC's cache.

    Raises:
        FootageError: it leads out; following it would take in a file that nobody named.
    """
    if not path.is_symlink():
        return
    target = path.resolve()
    if target.is_relative_to(path.parent.resolve()) or _CACHED.fullmatch(target.as_posix()):
        return
    raise FootageError(path, f"is a link that leads to {target}", "give that file itself")
