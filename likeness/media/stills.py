"""A folder of stills, or one: which files are read, in which order, and which are left out.

Looks at names and first bytes alone; `likeness.media.pictures` reads the pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from likeness.contracts.errors import FootageError
from likeness.media.container import footage_error
from likeness.media.links import require_inside

STILL_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp")
STILLS_RATE = 25
"""Frames per second that a folder of stills is played at."""
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")
_ANIMATED_AT, _ANIMATED_BIT = 20, 0x02
"""Of the flags in the VP8X chunk of a WebP file (RFC 9649, 2.7.1)."""


@dataclass(frozen=True)
class Folder:
    """What lies in a folder of stills.

    Attributes:
        used: pictures in natural order: 2 before 10.
        left_out: name and reason of every other file, by name; hidden files are not counted.
    """

    used: tuple[Path, ...]
    left_out: tuple[tuple[str, str], ...]


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Key that puts names in the order in which people count: `frame2` before `frame10`."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts], name


def is_still(path: Path) -> bool:
    """True for a file that is one picture; an animation is none, whatever its name says."""
    if path.suffix.lower() not in STILL_SUFFIXES or not path.is_file():
        return False
    head = _head(path)
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return (webp or head.startswith(_SIGNATURES)) and not _animated(head)


def read_folder(folder: Path) -> Folder:
    """Sort the files of a folder into those that are read and those that are not.

    Raises:
        FootageError: a name that is no UTF-8, or a link that leads out of the folder.
    """
    used: list[Path] = []
    left_out: list[tuple[str, str]] = []
    for path in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
        if path.name.startswith("."):
            continue
        _require_name(path)
        reason = _unused(path)
        if reason:
            left_out.append((path.name, reason))
        else:
            used.append(path)
    return Folder(tuple(used), tuple(left_out))


def list_stills(path: Path) -> list[Path]:
    """Pictures of a folder in natural order; of a picture, itself.

    Raises:
        FootageError: there is none, a name that is no UTF-8, or a link that leads out.
    """
    if not path.is_dir():
        return [path]
    found = read_folder(path)
    if not found.used:
        kinds = ", ".join(STILL_SUFFIXES)
        count = len(found.left_out)
        others = f"; {count} files are left out" if count else ""
        raise footage_error(path, f"holds no stills ({kinds}){others}")
    return list(found.used)


def _require_name(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        problem = "has a name that is not UTF-8"
        raise FootageError(path, problem, "rename the file") from None


def _unused(path: Path) -> str:
    """Why a file is left out; "" for a still."""
    if path.is_dir():
        return "a folder"
    if path.suffix.lower() not in STILL_SUFFIXES:
        return f"{path.suffix.lower() or 'no suffix'} is not read"
    require_inside(path)
    if not path.is_file():
        return "no file"
    return "an animation" if _animated(_head(path)) else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _animated(head: bytes) -> bool:
    """True for an animated WebP, or PNG: a chunk acTL stands before its first IDAT."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
        return bool(head[_ANIMATED_AT] & _ANIMATED_BIT)
    return head[:8] == _SIGNATURES[1] and b"acTL" in head.split(b"IDAT", 1)[0]
