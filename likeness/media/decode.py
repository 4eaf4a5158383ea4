"""Packets to pictures in presentation order: none lost, none invented, the same each time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.media import container as files
from likeness.media.timeline import MOST_REORDERED, Timeline, timeline


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
    times = timeline(path)
    with files.open_container(path) as container:
        stream = files.video_stream(container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = count
        if draft:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        order = _Order(path, times, int(stream.codec_context.reorder_depth))
        for number, packet in enumerate(files.packets(container, stream, end=times.end)):
            # Its number comes back with the frame that is made of it, whatever its times are.
            packet.pts = packet.dts = number
            yield from order.arrive(files.decode(stream.codec_context, packet))
        yield from order.arrive(files.decode(stream.codec_context, None))
        yield from order.finish()


class _Order:
    """Gives decoded frames their times, and puts those that are missing between them.

    Where packets state no presentation times, as many frames are held back as may lie between a
    packet and its frame, and the earliest of their packets' times goes to the first of them.
    """

    def __init__(self, path: Path, times: Timeline, depth: int) -> None:
        self._path, self._times = path, times
        self._held_back = MOST_REORDERED if times.in_order and depth else 0
        self._held: deque[Any] = deque()
        self._waiting: list[int] = []
        self._next = 0
        self._last: int | None = None
        self._size: tuple[int, int] | None = None

    def arrive(self, frames: list[Any]) -> Iterator[Picture]:
        """Frames from the decoder, with the missing ones before each."""
        for frame in frames:
            self._check_size(frame)
            self._held.append(frame)
            time = self._time(frame)
            if time is not None:
                heapq.heappush(self._waiting, time)
            if len(self._held) > self._held_back:
                yield from self._release()

    def finish(self) -> Iterator[Picture]:
        """What is still held, and what never came."""
        while self._held:
            yield from self._release()
        yield from self._missing_before(None)

    def _time(self, frame: Any) -> int | None:
        known = frame.pts is not None and 0 <= frame.pts < len(self._times.times)
        return self._times.times[frame.pts] if known else None

    def _release(self) -> Iterator[Picture]:
        frame = self._held.popleft()
        time = heapq.heappop(self._waiting) if self._waiting else self._after()
        yield from self._missing_before(time)
        self._last = time if self._last is None else max(time, self._last + 1)
        yield Picture(self._last, frame, bool(frame.is_corrupt))

    def _missing_before(self, time: int | None) -> Iterator[Picture]:
        """Times that were expected before `time` and passed without a frame; all for None."""
        expected = self._times.expected
        while self._next < len(expected) and (time is None or expected[self._next] <= time):
            at = expected[self._next]
            self._next += 1
            if at != time:
                self._last = at if self._last is None else max(at, self._last + 1)
                yield Picture(self._last, None, damaged=True)

    def _after(self) -> int:
        return 0 if self._last is None else self._last + self._times.step

    def _check_size(self, frame: Any) -> None:
        size = frame.width, frame.height
        self._size = self._size or size
        if size != self._size:
            was = f"{self._size[0]}x{self._size[1]}"
            problem = f"changes its size from {was} to {size[0]}x{size[1]} px"
            raise files.footage_error(self._path, problem)
