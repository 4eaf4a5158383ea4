"""Whether FLV, ASF, MPEG-TS and MPEG-PS files are whole, told from their bytes.

FLV and ASF state their length. A transport stream consists of packets of one size, a program stream
of packets that state theirs, so either tells a cut inside one, and nothing of what stood behind it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_HEAD_BYTES = 1 << 16
_TAIL_BYTES = 1 << 18
_FILESIZE = b"\x00\x08filesize\x00"
"""Name and type of a number in onMetaData (AMF 0, 2.2): the length in bytes as a double."""
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""GUIDs of ASF's Header Object and File Properties Object (ASF specification, 10)."""
_BROADCAST = 1
"""Flag of the latter: what it states is not valid."""
_SYNC = 0x47
_PACKET_SIZES = (188, 192, 204)
"""Of transport streams: plain, with a time in front (M2TS), with parity behind."""
_PACK, _END = b"\x00\x00\x01\xba", 0xB9


def stated_end(path: Path) -> int | None:
    """Bytes that an FLV or ASF says that it has; None for others, and where it does not say."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[:3] == b"FLV":
        return _flv(head)
    return _asf(head) if head[:16] == _ASF else None


def ends_inside_packet(path: Path) -> bool:
    """Whether a transport or program stream is cut; nothing tells how much stood behind."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head[:4] == _PACK:
            return _program_end(file, size) > size
    packet = _packet_size(head)
    return bool(packet and size % packet)


def _flv(head: bytes) -> int | None:
    place = head.find(_FILESIZE)
    number = head[place + len(_FILESIZE) :][:8]
    if place < 0 or len(number) < 8:
        return None
    value = struct.unpack(">d", number)[0]
    return int(value) if 0 < value < 2**63 else None  # a recording that never ended says 0


def _asf(head: bytes) -> int | None:
    place = head.find(_ASF_PROPERTIES)
    if place < 0 or len(head) < place + 92:
        return None
    length = int(struct.unpack_from("<Q", head, place + 40)[0])
    flags = struct.unpack_from("<I", head, place + 88)[0]
    return None if flags & _BROADCAST else length or None


def _packet_size(head: bytes) -> int | None:
    """Size of a transport stream's packets; None for other files."""
    for size in _PACKET_SIZES:
        first = 4 if size == 192 else 0
        starts = head[first : first + 64 * size : size]
        if len(starts) > 4 and all(byte == _SYNC for byte in starts):
            return size
    return None


def _program_end(file: BinaryIO, size: int) -> int:
    """Where the last packet ends by its own length, found from the last pack header on.

    Both as ISO 13818-1 has them, 2.5.3 and 2.4.3.6; 0 where no pack is found.
    """
    start = max(size - _TAIL_BYTES, 0)
    file.seek(start)
    data = file.read()
    place = data.rfind(_PACK)
    if place < 0 or len(data) < place + 14:
        return 0
    second = data[place + 4] >> 6 == 1  # MPEG-2; its pack header states how much it is stuffed
    place += 14 + (data[place + 13] & 7) if second else 12
    while place + 6 <= len(data) and data[place : place + 3] == b"\x00\x00\x01":
        if data[place + 3] == _END:
            return start + place + 4
        place += 6 + int(struct.unpack_from(">H", data, place + 4)[0])
    return start + place
