"""Packets to pictures in presentation order: none lost, none invented, the same each time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.media import container as files
from likeness.media.probe import STILLS_RATE

_UNTIMED_FORMATS = ("avi", "h264", "hevc", "m4v", "mpegvideo", "av1", "obu")
"""Containers that store no presentation times; frames get the packets' times in order."""


@dataclass
class Picture:
    """What became of one packet.

    Attributes:
        pts: presentation time in units of the stream's time base, rising.
        frame: the decoded PyAV frame, or None.
        damaged: True: there is no frame, or the decoder had to make up a part of it.
    """

    pts: int
    frame: Any | None
    damaged: bool = False


def pictures(
    path: Path, reorder_depth: int, threads: int, *, draft: bool = False
) -> Iterator[Picture]:
    """All pictures of a video file.

    Decodes with many threads until there is damage, then anew with one, past what was given
    out already: how a decoder hides damage depends on its threads, and the result must not.

    Args:
        path: the file.
        reorder_depth: how many frames the decoder may hold back for their order; so many that
            are shown before a damaged frame may refer to it, and are held back here.
        threads: to decode with.
        draft: leave block edges in frames that no other frame refers to.

    Raises:
        FootageError: the picture changes its size.
    """
    done = 0
    if threads > 1:
        held: deque[Picture] = deque()
        for picture in _decode(path, threads, draft):
            held.append(picture)
            if picture.damaged:
                break
            if len(held) > reorder_depth + 1:
                yield held.popleft()
                done += 1
        else:
            yield from held
            return
        held.clear()
    for index, picture in enumerate(_decode(path, 1, draft)):
        if index >= done:
            yield picture


def _decode(path: Path, count: int, draft: bool) -> Iterator[Picture]:
    with files.open_container(path) as container:
        stream = files.video_stream(container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = count
        if draft:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        listed = _indexed(container, stream)
        order = _Order(path, stream, timed=container.format.name not in _UNTIMED_FORMATS)
        seen = 0
        for packet in files.packets(container, stream):
            seen += not packet.is_discard
            order.expect(packet)
            yield from order.arrive(files.decode(stream.codec_context, packet))
        order.promise(listed, seen)
        yield from order.arrive(files.decode(stream.codec_context, None))
        yield from order.finish()


def _indexed(container: Any, stream: Any) -> list[int]:
    """Decoding times of all frames that the file promises; MP4 and MOV alone list them all."""
    if not container.format.name.startswith("mov"):
        return []
    return sorted(e.timestamp for e in stream.index_entries if not e.is_discard)


def _shown_vp8(packet: Any) -> bool:
    """False for VP8's alternate reference frames, which are never shown (RFC 6386, 9.1)."""
    return bool(memoryview(packet)[0] & 0x10)


class _Order:
    """Puts decoded frames and packets without a frame into one sequence by their times."""

    def __init__(self, path: Path, stream: Any, timed: bool) -> None:
        self._path = path
        self._timed = timed
        self._vp8 = stream.codec_context.name.startswith("vp8")
        self._waiting: list[int] = []
        self._expected = 0
        rate = stream.average_rate or STILLS_RATE
        self._step = max(round(1 / (rate * stream.time_base)), 1)
        self._last: int | None = None
        self._first: int | None = None
        self._recent: deque[int] = deque(maxlen=64)
        self._size: tuple[int, int] | None = None

    def expect(self, packet: Any) -> None:
        """Note the time of a packet that should give a frame."""
        if packet.is_discard or (self._vp8 and not _shown_vp8(packet)):
            return
        pts = packet.pts
        if pts is None:
            self._timed = False
            pts = self._expected * self._step
        self._expected += 1
        self._first = pts if self._first is None else min(pts, self._first)
        self._recent.append(pts)
        if pts not in self._waiting:  # the second field of an interlaced frame has the same time
            heapq.heappush(self._waiting, pts)

    def arrive(self, frames: list[Any]) -> Iterator[Picture]:
        """Frames from the decoder, with the missing ones before each."""
        for frame in frames:
            self._check_size(frame)
            pts = frame.pts if self._timed else None
            if pts is None:
                pts = heapq.heappop(self._waiting) if self._waiting else self._after()
            while self._waiting and self._waiting[0] < pts:
                yield self._missing(heapq.heappop(self._waiting))
            if self._waiting and self._waiting[0] == pts:
                heapq.heappop(self._waiting)
            self._last = pts if self._last is None else max(pts, self._last + 1)
            yield Picture(self._last, frame, bool(frame.is_corrupt))

    def promise(self, listed: list[int], seen: int) -> None:
        """Expect what the container's index lists and the file has lost, at its end.

        The index states decoding times. Encoders decode each frame at the time that an earlier
        one is shown, so those times, moved to begin with the first frame shown, are the missing
        presentation times but for the last few, which go on at the average rate.

        Args:
            listed: decoding times of all frames, rising.
            seen: number of packets that were there.
        """
        lost = len(listed) - seen
        if lost <= 0 or self._first is None:
            return
        times = [dts for dts in listed if dts >= self._first]
        end = times[-1] if times else self._first
        times += [end + self._step * (i + 1) for i in range(len(listed) - len(times))]
        missing = [pts for pts in times[-lost - len(self._recent) :] if pts not in self._recent]
        for pts in missing[-lost:]:
            heapq.heappush(self._waiting, pts)

    def finish(self) -> Iterator[Picture]:
        """What never arrived."""
        while self._waiting:
            yield self._missing(heapq.heappop(self._waiting))

    def _missing(self, pts: int) -> Picture:
        self._last = pts if self._last is None else max(pts, self._last + 1)
        return Picture(self._last, None, damaged=True)

    def _after(self) -> int:
        return 0 if self._last is None else self._last + self._step

    def _check_size(self, frame: Any) -> None:
        size = frame.width, frame.height
        self._size = self._size or size
        if size != self._size:
            was = f"{self._size[0]}x{self._size[1]}"
            problem = f"changes its size from {was} to {size[0]}x{size[1]} px"
            raise files.footage_error(self._path, problem)
