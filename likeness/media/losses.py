"""What a damaged or cut file promises and does not hold, told by what the file itself states.

A frame counts as lost only where bytes are missing: an index names it and nothing stands there,
the times have a hole where the file has one, or the file ends before the length that it states. A
film of varying rate has holes in its times and none in its bytes.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from likeness.media.boxes import stated_bytes
from likeness.media.packets import Packets

_COVERED = ("matroska", "avi", "flv", "live_flv", "asf")
"""Formats in which each packet's bytes stand in one piece behind a short header."""
_HEADER_BYTES = 200
"""No header between two packets is longer; a shorter hole may be one."""
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
    """Times of lost frames, and by how many bytes the file is shorter than it says."""

    times: list[int]
    cut_bytes: int


def losses(held: Held) -> Losses:
    """Times of the frames that a file promises and has lost."""
    stated = stated_bytes(held.path)
    cut = max((stated or 0) - held.path.stat().st_size, 0)
    if not held.times:
        return Losses([], cut)
    family = held.container.format.name.split(",")[0]
    if family == "mov":
        return Losses(_unlisted(held), cut)
    if family == "avi" and (listed := _unmatched(held)) is not None:
        return Losses(listed, cut)
    inside = _holes(held, family)
    return Losses(inside + _tail(held, family, cut, len(inside)), cut)


def _unlisted(held: Held) -> list[int]:
    """What the index of an MP4 or MOV lists and the file has lost, at its end.

    The index states decoding times. Encoders decode each frame at the time that an earlier one is
    shown, so those times, moved to begin with the first frame shown, are the missing presentation
    times but for the last few, which go on at the average rate.
    """
    listed = sorted(e.timestamp for e in held.stream.index_entries if not e.is_discard)
    shown = [t for t, n in zip(held.times, held.numbers, strict=True) if held.packets.shown(n)]
    lost = len(listed) - len(shown)
    if lost <= 0 or not shown:
        return []
    present, first = set(shown), min(shown)
    times = [dts for dts in listed if dts >= first]
    end = times[-1] if times else first
    times += [end + held.step * (i + 1) for i in range(len(listed) - len(times))]
    return [t for t in times if t not in present][-lost:]


def _unmatched(held: Held) -> list[int] | None:
    """Times of an AVI's index at whose place no packet was found; None without an index."""
    entries = [(e.pos, e.timestamp) for e in held.stream.index_entries]
    stated = int(held.stream.frames)
    if not entries or len(entries) < stated:
        return None
    found = {held.packets.place[n] for n in held.numbers}
    return [time for place, time in entries if place not in found]


def _holes(held: Held, family: str) -> list[int]:
    """Times that are missing between two frames between which bytes are missing, too."""
    gaps = _gaps(held.packets) if family in _COVERED else None
    lost: list[int] = []
    order = sorted(range(len(held.times)), key=held.times.__getitem__)
    jumps = set(held.jumps)
    for before, after in itertools.pairwise(order):
        count = round((held.times[after] - held.times[before]) / held.step) - 1
        if count < 1 or after in jumps or not _damaged(held, gaps, before, after):
            continue
        lost += [held.times[before] + held.step * (i + 1) for i in range(count)]
    return lost


def _gaps(packets: Packets) -> list[tuple[int, int]]:
    """Places in the file that no packet and no header covers: (begin, end), rising."""
    spans = sorted((p, p + s) for p, s in zip(packets.place, packets.size, strict=True) if p >= 0)
    gaps, end = [], spans[0][0] if spans else 0
    for start, stop in spans:
        if start - end > _HEADER_BYTES:
            gaps.append((end, start))
        end = max(end, stop)
    return gaps


def _damaged(held: Held, gaps: list[tuple[int, int]] | None, before: int, after: int) -> bool:
    """Whether bytes are missing between two frames that follow each other on the screen."""
    first, last = held.numbers[before], held.numbers[after]
    if gaps is None:  # a transport stream says which packets it could not complete
        low, high = sorted((before, after))
        near = range(max(low - 2, 0), min(high + 3, len(held.numbers)))
        return any(held.packets.corrupt(held.numbers[place]) for place in near)
    low, high = sorted((held.packets.place[first], held.packets.place[last]))
    return any(low <= begin and end <= high for begin, end in gaps)


def _tail(held: Held, family: str, cut: int, inside: int) -> list[int]:
    """Times from the last frame to the end that the file states, if bytes are missing there."""
    packets, last = held.packets, max(held.times)
    if family == "avi":
        count = int(held.stream.frames) - len(held.times) - inside
    else:
        end = _stated_end(held)
        count = round((end - last) / held.step) - 1 if end is not None else 0
    covered = max((p + s for p, s in zip(packets.place, packets.size, strict=True)), default=0)
    if count < 1 or not (cut > 0 or _unread(held.path, covered)):
        return []
    return [last + held.step * (i + 1) for i in range(count)]


def _unread(path: Path, covered: int) -> bool:
    """Whether what stands behind the last packet is no index, but something that was not read."""
    with path.open("rb") as file:
        file.seek(covered)
        head = file.read(_HEADER_BYTES + 1)
    return len(head) > _HEADER_BYTES and not head.startswith(_BEHIND)


def _stated_end(held: Held) -> int | None:
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
    start = held.container.start_time or 0
    end_s = (start + held.container.duration) / av.time_base
    for stream in held.container.streams:
        ends = [_end_s(held.packets, n, stream) for n in held.packets.of(stream.index)]
        if stream.index != held.stream.index and ends and end_s - max(ends) < 2 * held.step * base:
            return None
    return int(end_s / base)


def _end_s(packets: Packets, number: int, stream: Any) -> float:
    at = packets.pts(number)
    at = packets.coded(number) if at is None else at
    return float(((at or 0) + packets.length[number]) * stream.time_base)
