"""What a damaged or cut file promises and does not hold, told by what the file itself states.

A frame counts as lost only where bytes are missing: an index names it and nothing stands there,
the times have a hole where the file has one, or the file ends before the length that it states. A
film of varying rate has holes in its times and none in its bytes.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from likeness.media.boxes import media_end, stated_bytes
from likeness.media.ends import ends_inside_packet, stated_end
from likeness.media.packets import Packets

_HEADER_BYTES = 200
_OVERHEAD = {
    "matroska": (_HEADER_BYTES, 0.0),
    "avi": (_HEADER_BYTES, 0.0),
    "flv": (_HEADER_BYTES, 0.0),
    "live_flv": (_HEADER_BYTES, 0.0),
    "asf": (_HEADER_BYTES, 0.02),
    "mpeg": (4096, 0.05),
}
"""Bytes that a header between two packets has at most, and share of a packet that is none of it.

A longer hole is a loss. Other formats (transport streams) say themselves what is not complete.
"""
_REORDERED = 17
"""Packets between which and their frames' neighbours others may stand: 16 frames in H.264."""
_SHORT_S = 0.25
_ZEROS_BYTES = 4096
_STATES_LENGTH = ("matroska", "avi", "flv", "mov", "asf")
_BEHIND = (
    b"\x1c\x53\xbb\x6b",  # Matroska: cues, tags, void, seek head, attachments, chapters
    b"\x12\x54\xc3\x67",
    b"\xec",
    b"\x11\x4d\x9b\x74",
    b"\x19\x41\xa4\x69",
    b"\x10\x43\xa7\x70",
    b"idx1",  # AVI
)
"""What begins an index, or other things that are no pictures, behind the last packet."""
_STATED = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True)
class Held:
    """What was found in a file.

    Attributes:
        path: the file.
        container, stream: open, behind the last packet.
        packets: of all streams.
        numbers: which of them are the video's.
        times: of those, in the video's units, after breaks are joined.
        step: units between two frames.
        jumps: which of them begin a new part.
    """

    path: Path
    container: Any
    stream: Any
    packets: Packets
    numbers: list[int]
    times: list[int]
    step: int
    jumps: tuple[int, ...]


@dataclass(frozen=True)
class Losses:
    """What a file promises and does not hold.

    Attributes:
        times: of lost frames.
        cut_bytes: by how many bytes the file is shorter than it says.
        zero_bytes: how many zeros stand at its end, where there are many.
        short_s: seconds by which all its streams end before it says.
        torn: it ends inside a packet of a format that states no length.
    """

    times: list[int]
    cut_bytes: int
    zero_bytes: int
    short_s: float
    torn: bool


def losses(held: Held) -> Losses:
    """What a file promises and has lost."""
    size = held.path.stat().st_size
    cut = max((stated_bytes(held.path) or stated_end(held.path) or 0) - size, 0)
    family = held.container.format.name.split(",")[0]
    times = _lost_times(held, family, cut) if held.times else []
    short = 0.0 if held.jumps or family not in _STATES_LENGTH else _short_s(held, family)
    torn = ends_inside_packet(held.path)
    return Losses(times, cut, _zeros_at_end(held.path, size), short, torn)


def _lost_times(held: Held, family: str, cut: int) -> list[int]:
    entries = [e for e in held.stream.index_entries if not e.is_discard]
    if family == "mov":
        return _unlisted(held, [e.timestamp for e in entries])
    if family == "avi":
        # Where its index is damaged, FFmpeg lists what it read, pieces of that index included.
        end = media_end(held.path)
        entries = [e for e in entries if end is None or e.pos < end]
        if entries and len(entries) >= int(held.stream.frames):
            # An entry without bytes stands for no picture: the one before is shown on.
            return _unlisted(held, [e.timestamp for e in entries if e.size])
    damaged = bool(cut) or _unread(held)
    inside = _holes(held, family, damaged=damaged)
    return inside + ([] if held.jumps or not damaged else _tail(held, family, len(inside)))


def _zeros_at_end(path: Path, size: int) -> int:
    """Zeros at the end, in blocks: what a download that never ended leaves."""
    count = 0
    with path.open("rb") as file:
        while size - count >= _ZEROS_BYTES:
            file.seek(size - count - _ZEROS_BYTES)
            if any(file.read(_ZEROS_BYTES)):
                break
            count += _ZEROS_BYTES
    return count


def _short_s(held: Held, family: str) -> float:
    """Seconds by which all streams end before the length that the file states; 0 for a little."""
    if not held.container.duration or not len(held.packets):
        return 0.0
    ends = [
        _end_s(held.packets, number, held.container.streams[stream])
        for number, stream in enumerate(held.packets.stream)
    ]
    short = _container_end_s(held, family) - max(ends)
    usual = 3 * held.step * float(held.stream.time_base)
    return round(short, 2) if short > max(_SHORT_S, usual) else 0.0


def _container_end_s(held: Held, family: str) -> float:
    """Where a file says that it ends; Matroska and FLV count from 0, others from their begin."""
    start = 0 if family in ("matroska", "flv") else held.container.start_time or 0
    return float((start + held.container.duration) / av.time_base)


def _unlisted(held: Held, listed: list[int]) -> list[int]:
    """What the index of an MP4, MOV or AVI lists and the file does not hold.

    The index states decoding times. Encoders decode each frame at the time that an earlier one is
    shown, so those times, moved to begin with the first frame shown, are the missing presentation
    times but for the last few, which go on at the average rate.
    """
    shown = [t for t, n in zip(held.times, held.numbers, strict=True) if held.packets.shown(n)]
    lost = len(listed) - len(shown)
    if lost <= 0 or not shown:
        return []
    present, first = set(shown), min(shown)
    times = [dts for dts in sorted(listed) if dts >= first]
    end = times[-1] if times else first
    times += [end + held.step * (i + 1) for i in range(len(listed) - len(times))]
    return [t for t in times if t not in present][-lost:]


def _holes(held: Held, family: str, *, damaged: bool) -> list[int]:
    """Times that are missing between two frames near which bytes are missing, too."""
    gaps = _gaps(held, family, damaged=damaged)
    lost: list[int] = []
    order = sorted(range(len(held.times)), key=held.times.__getitem__)
    jumps = set(held.jumps)
    for before, after in itertools.pairwise(order):
        count = round((held.times[after] - held.times[before]) / held.step) - 1
        if count < 1 or after in jumps:
            continue
        low, high = sorted((before, after))
        place = bisect_left(gaps, low - _REORDERED)
        if place < len(gaps) and gaps[place] <= high + _REORDERED:
            lost += [held.times[before] + held.step * (i + 1) for i in range(count)]
    return lost


def _gaps(held: Held, family: str, *, damaged: bool) -> list[int]:
    """Behind which of the video's packets, counted from 0, bytes are missing; rising.

    `damaged`: they are behind the last one, too.
    """
    packets, count = held.packets, len(held.numbers)
    if family not in _OVERHEAD:
        return [i for i, n in enumerate(held.numbers) if packets.corrupt(n)]
    fixed, share = _OVERHEAD[family]
    spans = sorted((p, p + s) for p, s in zip(packets.place, packets.size, strict=True) if p >= 0)
    places = sorted(packets.place[n] for n in held.numbers)
    gaps, end, size = [], spans[0][0] if spans else 0, 0
    for start, stop in spans:
        if start - end > fixed + share * size:
            gaps.append(bisect_left(places, start) - 1)
        if stop > end:
            end, size = stop, stop - start
    return gaps + [count - 1] * damaged


def _tail(held: Held, family: str, inside: int) -> list[int]:
    """Times from the last frame to the end that the file states."""
    last = max(held.times)
    if family == "avi":
        count = int(held.stream.frames) - len(held.times) - inside
    else:
        end = _stated_end(held, family)
        count = round((end - last) / held.step) - 1 if end is not None else 0
    return [last + held.step * (i + 1) for i in range(count)]


def _unread(held: Held) -> bool:
    """Whether what stands behind the last packet is no index, but something that was not read."""
    packets = held.packets
    covered = max((p + s for p, s in zip(packets.place, packets.size, strict=True)), default=0)
    with held.path.open("rb") as file:
        file.seek(covered)
        head = file.read(_HEADER_BYTES + 1)
    return len(head) > _HEADER_BYTES and not head.startswith(_BEHIND)


def _stated_end(held: Held, family: str) -> int | None:
    """Where the video ends by its own tag, else where the file does; in the video's units.

    A file ends with its longest stream: where any stream reaches the end, the video may be short.
    """
    base = held.stream.time_base
    tags = [v for k, v in held.stream.metadata.items() if k.upper().startswith("DURATION")]
    tag = _STATED.match(tags[0]) if tags else None
    if tag:
        hours, minutes, seconds = tag.groups()
        return int((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) / base)
    if not held.container.duration:
        return None
    end_s = _container_end_s(held, family)
    for stream in held.container.streams:
        ends = [_end_s(held.packets, n, stream) for n in held.packets.of(stream.index)]
        if stream.index != held.stream.index and ends and end_s - max(ends) < 2 * held.step * base:
            return None
    return int(end_s / base)


def _end_s(packets: Packets, number: int, stream: Any) -> float:
    at = packets.pts(number)
    at = packets.coded(number) if at is None else at
    return float(((at or 0) + packets.length[number]) * stream.time_base)
