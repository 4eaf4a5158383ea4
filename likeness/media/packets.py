"""All packets of a video file as columns: what the file holds, without decoding anything."""

from __future__ import annotations

from array import array
from typing import Any

from likeness.media import container as files

_NONE = -(2**63)
_KEY, _CORRUPT, _SHOWN = 1, 2, 4


class Packets:
    """Packets in the order of the file, in some fifty bytes each.

    Attributes:
        stream: index of each one's stream.
        size: bytes.
        length: duration in the stream's units, or 0.
        place: where its bytes begin in the file; -1: not known.
    """

    def __init__(self) -> None:
        self.stream, self.size = array("i"), array("q")
        self.length, self.place = array("q"), array("q")
        self._pts, self._dts, self._flags = array("q"), array("q"), array("b")

    def __len__(self) -> int:
        return len(self.stream)

    def add(self, packet: Any, *, shown: bool) -> None:
        """Append a PyAV packet; `shown`: a frame is to come of it."""
        self.stream.append(packet.stream_index)
        self.size.append(packet.size)
        self.length.append(packet.duration or 0)
        self.place.append(-1 if packet.pos is None else packet.pos)
        self._pts.append(_NONE if packet.pts is None else packet.pts)
        self._dts.append(_NONE if packet.dts is None else packet.dts)
        flags = _KEY * packet.is_keyframe + _CORRUPT * packet.is_corrupt + _SHOWN * shown
        self._flags.append(flags)

    def of(self, stream: int) -> list[int]:
        """Numbers of the packets of a stream."""
        return [i for i, s in enumerate(self.stream) if s == stream]

    def pts(self, number: int) -> int | None:
        """Presentation time as the file states it."""
        return None if self._pts[number] == _NONE else self._pts[number]

    def dts(self, number: int) -> int | None:
        """Decoding time as the file states it, or as FFmpeg makes it of the others."""
        return None if self._dts[number] == _NONE else self._dts[number]

    def coded(self, number: int) -> int | None:
        """Decoding time, or presentation time where there is none."""
        dts = self.dts(number)
        return self.pts(number) if dts is None else dts

    def key(self, number: int) -> bool:
        """True: decoding can begin here."""
        return bool(self._flags[number] & _KEY)

    def corrupt(self, number: int) -> bool:
        """True: the demuxer missed a part of it."""
        return bool(self._flags[number] & _CORRUPT)

    def shown(self, number: int) -> bool:
        """True: a frame is to come of it."""
        return bool(self._flags[number] & _SHOWN)


def read_packets(container: Any, video: Any, end: int | None) -> Packets:
    """Every packet of an open file, to the place `end`."""
    found = Packets()
    vp8 = video.codec_context.name.startswith("vp8")
    for packet in files.packets(container, end=end):
        shown = not packet.is_discard
        if vp8 and packet.stream_index == video.index:
            # Alternate reference frames are never shown (RFC 6386, 9.1).
            shown = shown and bool(memoryview(packet)[0] & 0x10)
        found.add(packet, shown=shown)
    return found
