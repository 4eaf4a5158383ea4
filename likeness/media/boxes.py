"""What a file says about itself, read without FFmpeg: sizes stated, and the matrix of a track."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

Matrix = tuple[int, int, int, int]
_LONGEST_HEADER = 16
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_PICTURES = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"avif": "AVIF"}
"""Major brands of ISO 14496-12 files that hold pictures (ISO 23008-12)."""
_FIXED = 1 << 16
"""1.0 as ISO 14496-12 writes it, 16.16."""


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and end of each box between two places (ISO 14496-12, 4.2)."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(_LONGEST_HEADER)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        content = start + 8
        if size == 1 and len(head) == _LONGEST_HEADER:
            size, content = struct.unpack(">Q", head[8:])[0], start + _LONGEST_HEADER
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        yield kind, content, start + size
        start += size


def _inside(file: BinaryIO, place: tuple[int, int], kind: bytes) -> list[tuple[int, int]]:
    return [(a, min(b, place[1])) for k, a, b in _boxes(file, *place) if k == kind]


def track_matrix(path: Path, track_id: int) -> Matrix | None:
    """(a, b, c, d) of a track of an MP4 or MOV (ISO 14496-12, 6.2.2 and 8.3.2), 16.16 fixed point.

    None where the file has no such track, or where the matrix turns nothing.
    """
    if not path.is_file():  # what arrives through a pipe cannot be read twice
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        for movie in _inside(file, (0, size), b"moov"):
            for track in _inside(file, movie, b"trak"):
                for start, _ in _inside(file, track, b"tkhd"):
                    found = _header(file, start, track_id)
                    if found is not None:
                        plain = found in ((_FIXED, 0, 0, _FIXED), (0, 0, 0, 0))
                        return None if plain else found
    return None


def _header(file: BinaryIO, start: int, track_id: int) -> Matrix | None:
    """The matrix of a track header, if it is that of the track."""
    file.seek(start)
    data = file.read(92)
    if len(data) < 84:
        return None
    long = data[0] == 1
    stated = struct.unpack_from(">I", data, 20 if long else 12)[0]
    if stated != track_id or (long and len(data) < 88):
        return None
    a, b, _, c, d = struct.unpack_from(">5i", data, 52 if long else 40)
    return a, b, c, d


def picture_kind(path: Path) -> str:
    """Name of a picture format that would pass for a film of its tiles or parts; "" for others."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if head[4:8] == b"ftyp":
        return _PICTURES.get(head[8:12], "")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "an animated WebP" if path.suffix.lower() == ".webp" else f"WebP named {path.suffix}"
    return ""


def stated_bytes(path: Path) -> int | None:
    """How long the file says it is: MP4 and MOV by its boxes, AVI by RIFF, Matroska by its segment.

    None where it does not say (a stream, MPEG-TS).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
        if head[:4] == b"RIFF":
            return _riff_end(file, size)
        if head[:4] == _EBML:
            return _segment_end(head)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return max((end for _, _, end in _boxes(file, 0, size)), default=None)
    return None


def media_end(path: Path) -> int | None:
    """Where the pictures of an AVI end: behind that stands its index, whose entries look like them.

    None for other files, and for AVIs in several parts, which have an index in each.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"AVI ":
            return None
        start = 12
        while start + 12 <= size:
            file.seek(start)
            kind, length, form = struct.unpack("<4sI4s", file.read(12))
            if (kind, form) == (b"LIST", b"movi"):
                end = start + 8 + length + length % 2
                file.seek(end)
                rest = file.read(1 << 16)
                return None if b"RIFF" in rest or length == 0 else end
            start += 8 + length + length % 2
    return None


def _riff_end(file: BinaryIO, size: int) -> int:
    """End of the last RIFF list; a long AVI has several."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            return start
        start += 8 + length + length % 2
    return start


def _segment_end(head: bytes) -> int | None:
    """End of the segment that follows the EBML header (RFC 8794, 4 and 6.4)."""
    header = _vint(head, 4)
    if header is None or header[0] is None:
        return None
    place = header[1] + header[0]
    if head[place : place + 4] != _SEGMENT:
        return None
    length = _vint(head, place + 4)
    return length[1] + length[0] if length and length[0] is not None else None


def _vint(data: bytes, place: int) -> tuple[int | None, int] | None:
    """A length and where it ends; a length of all ones is unknown."""
    if place >= len(data) or not data[place]:
        return None
    width = 9 - data[place].bit_length()
    raw = data[place : place + width]
    if len(raw) < width:
        return None
    value = int.from_bytes(raw, "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), place + width
