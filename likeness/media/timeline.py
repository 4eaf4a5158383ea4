"""When each frame of a video file is shown, found by reading all packets without decoding any.

Packets say when, in most files. Some start again in the middle (two recordings joined), some give
decoding times for presentation times, some have lost a part of what the file itself promises. All
that is settled here, once, so that reading the pictures is simple: a list of times, one a frame.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from av.format import Flags

from likeness.media import container as files
from likeness.media.boxes import media_end
from likeness.media.losses import Held, losses
from likeness.media.packets import Packets, read_packets
from likeness.media.stills import STILLS_RATE

UNTIMED_FORMATS = ("avi", "h264", "hevc", "m4v", "mpegvideo", "av1", "obu")
"""Containers that store no presentation times; frames get the packets' times in order."""
_JUMP_S = 10
"""A jump ahead from which a transport stream counts as joined; FFmpeg's own limit."""
MOST_REORDERED = 17
"""Frames that a codec may show before one that was decoded earlier, and one: 16 in H.264."""
_BACK_S = Fraction(1, 10)
"""A jump back from which sound counts as started again."""


@dataclass(frozen=True)
class Break:
    """Where times start again.

    Attributes:
        packet: number of the first video packet behind it.
        arrival: number of that packet among those of all streams.
        shift: what is added to the times behind it, in the video's units.
    """

    packet: int
    arrival: int
    shift: int


@dataclass(frozen=True)
class Timeline:
    """Times of a video file.

    Attributes:
        times: of each video packet, in the order of the file.
        expected: of all frames that are to be shown, rising; what was lost is among them.
        lost: how many frames the file promises whose data are not there.
        in_order: frames take the times of their packets in order, since packets state the times
            of decoding, or none at all.
        breaks: where times start again.
        step: units between two frames, usually.
        shifts: of each sound stream, (number of its first packet, seconds to add), rising.
        sound_packets: of each sound stream, how many there are.
        cut_bytes: how much longer the file says it is.
        zero_bytes: zeros at its end, where there are many.
        short_s: seconds by which all streams end before the file says.
        end: place in the file behind which nothing counts as a packet.
    """

    times: tuple[int, ...]
    expected: tuple[int, ...]
    lost: int
    in_order: bool
    breaks: tuple[Break, ...]
    step: int
    shifts: dict[int, tuple[tuple[int, Fraction], ...]] = field(default_factory=dict)
    sound_packets: dict[int, int] = field(default_factory=dict)
    cut_bytes: int = 0
    zero_bytes: int = 0
    short_s: float = 0.0
    torn: bool = False
    end: int | None = None

    def sound_shift(self, stream: int, number: int) -> Fraction:
        """Seconds to add to packet `number` of a sound stream, so that it stays in step."""
        steps = self.shifts.get(stream, ())
        place = bisect_right(steps, number, key=lambda step: step[0])
        return steps[place - 1][1] if place else Fraction(0)


def timeline(path: Path) -> Timeline:
    """The timeline of a video file; read once while the file stays as it is.

    Raises:
        FootageError: it cannot be opened.
    """
    state = path.stat() if path.exists() else None
    return _read(path, (state.st_size, state.st_mtime_ns) if state else (0, 0))


@lru_cache(maxsize=8)
def _read(path: Path, _state: tuple[int, int]) -> Timeline:
    with files.open_container(path) as container:
        stream = files.video_stream(container)
        end = media_end(path)
        found = read_packets(container, stream, end)
        return replace(_settled(path, container, stream, found), end=end)


def _settled(path: Path, container: Any, stream: Any, found: Packets) -> Timeline:
    rate = stream.average_rate or STILLS_RATE
    step = max(round(1 / (rate * stream.time_base)), 1)
    depth = int(stream.codec_context.reorder_depth)
    numbers = found.of(stream.index)
    pts = [found.pts(n) for n in numbers]
    timed = container.format.name not in UNTIMED_FORMATS and None not in pts
    raw = _times(found, numbers, step, counted=container.format.name == "avi")
    ahead = round(_JUMP_S / stream.time_base) if _restarts(container) else None
    jumps = list(_jumps(found, numbers, raw, step, ahead))
    breaks = _breaks(raw, jumps, numbers, step)
    lead = max(-min(raw, default=0), 0) if ahead is not None else 0
    times = [time + lead for time in _shifted(raw, breaks)]
    as_coded = depth > 0 and len(times) > 1 and all(a < b for a, b in itertools.pairwise(times))
    gone = losses(Held(path, container, stream, found, numbers, times, step, tuple(jumps)))
    shown = {t for t, n in zip(times, numbers, strict=True) if found.shown(n)}
    expected = tuple(sorted(shown.union(gone.times)))
    return Timeline(
        times=tuple(times),
        expected=expected,
        lost=len(expected) - len(shown),
        in_order=not timed or as_coded,
        breaks=breaks,
        step=step,
        shifts={
            s.index: _sound_shifts(s, found, breaks, stream, lead) for s in container.streams.audio
        },
        sound_packets={s.index: len(found.of(s.index)) for s in container.streams.audio},
        cut_bytes=gone.cut_bytes,
        zero_bytes=gone.zero_bytes,
        short_s=gone.short_s,
        torn=gone.torn,
    )


def _times(found: Packets, numbers: list[int], step: int, *, counted: bool) -> list[int]:
    """Times of the video's packets: all of one kind, or else even ones.

    `counted`: the file counts its pictures (AVI). Presentation times are FFmpeg's guess then, which
    damage spoils; the first of them tells how late the pictures are.
    """
    late = 0
    if counted and numbers:
        first, coded = found.pts(numbers[0]), found.dts(numbers[0])
        late = first - coded if first is not None and coded is not None else 0
    for kind in (found.dts,) if counted else (found.pts, found.dts):
        times = [t + late for t in map(kind, numbers) if t is not None]
        if len(times) == len(numbers):
            return times
    return [place * step for place in range(len(numbers))]


def _restarts(container: Any) -> bool:
    """True for formats whose times may jump at any place (transport and program streams)."""
    return bool(container.format.flags & Flags.ts_discont.value)


def _jumps(
    found: Packets, numbers: list[int], raw: list[int], step: int, ahead: int | None
) -> Iterator[int]:
    """Which packets, counted from 0, do not go on where those before them ended.

    Times of frames that others wait for run ahead of those, by any time where the rate varies. A
    jump leads back to where decoding can begin, at a time that is taken or long past, or takes
    the decoding times back with it.

    Args:
        found: all packets.
        numbers: those of the video.
        raw: their times.
        step: units between two frames.
        ahead: units from which going on counts as a jump, too; None: it never does.
    """
    taken: set[int] = set()
    highest: int | None = None
    coded: int | None = None
    far = MOST_REORDERED * step
    for place, (number, time) in enumerate(zip(numbers, raw, strict=True)):
        slot, before, coded = round(time / step), coded, found.dts(number)
        if highest is not None:
            back = highest - time
            key = found.key(number) and back >= step and (slot in taken or back > far)
            both = before is not None and coded is not None and before - coded > far < back
            if key or both or (ahead is not None and -back > ahead):
                yield place
                taken, highest = set(), time
        taken.add(slot)
        highest = time if highest is None else max(highest, time)


def _breaks(raw: list[int], jumps: list[int], numbers: list[int], step: int) -> tuple[Break, ...]:
    """Each jump with the shift that lets its first frame follow the last one before it."""
    parts = [raw[a:b] for a, b in itertools.pairwise([0, *jumps, len(raw)])]
    breaks: list[Break] = []
    shift = 0
    for place, (before, after) in zip(jumps, itertools.pairwise(parts), strict=True):
        shift += max(before) + step - min(after)
        breaks.append(Break(place, numbers[place], shift))
    return tuple(breaks)


def _shifted(raw: list[int], breaks: tuple[Break, ...]) -> list[int]:
    starts, shifts = [b.packet for b in breaks], [0, *(b.shift for b in breaks)]
    return [t + shifts[bisect_right(starts, place)] for place, t in enumerate(raw)]


def _sound_shifts(
    sound: Any, found: Packets, breaks: tuple[Break, ...], stream: Any, lead: int
) -> tuple[tuple[int, Fraction], ...]:
    """Where a sound stream starts again, and the shift of the picture's break nearest to it.

    `lead`: units of the picture by which all is late, so that a broadcast whose clock passes its
    end (26.5 hours) in the middle does not begin before 0: players show nothing from before that.
    """
    steps: list[tuple[int, Fraction]] = [(0, lead * stream.time_base)] if lead else []
    last: int | None = None
    back, ahead = _BACK_S / sound.time_base, _JUMP_S / sound.time_base
    for place, number in enumerate(found.of(sound.index) if breaks else ()):
        at = found.coded(number)
        if at is None:
            continue
        if last is not None and (last - at > back or at - last > ahead):
            nearest = min(breaks, key=lambda b: abs(b.arrival - number))
            steps.append((place, (nearest.shift + lead) * stream.time_base))
        last = at
    return tuple(steps)
