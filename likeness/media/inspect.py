"""Looks at footage and prints what it found as JSON: `python -m likeness.media.inspect`.

`likeness.media.intake` runs it; a person has no need to.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

from likeness.contracts.errors import FootageError
from likeness.contracts.vocabulary import SoundCodec
from likeness.media.container import (
    decode,
    footage_error,
    is_cover,
    open_container,
    packets,
    video_stream,
)
from likeness.media.footage import open_footage
from likeness.media.images import is_damaged_jpeg
from likeness.media.links import require_inside
from likeness.media.pictures import read_image
from likeness.media.probe import probe, stills_facts
from likeness.media.remarks import loss_lines, remarks, time_lines
from likeness.media.sound import judged
from likeness.media.stills import is_still, list_stills, read_folder
from likeness.media.timeline import Timeline, timeline

_NAMED = 5
"""Files that a line names; the rest is counted."""


def inspected(source: Path, role: str, damage: str, sound_codec: SoundCodec) -> dict[str, Any]:
    """Facts, names of stills, sound and warnings; see `likeness.media.intake.Intake`.

    Raises:
        FootageError: it cannot be used.
    """
    require_inside(source)
    if source.is_dir() or is_still(source):
        return _stills(source, role, damage)
    return _video(source, damage, sound_codec)


def _stills(source: Path, role: str, damage: str) -> dict[str, Any]:
    stills = list_stills(source)
    sizes, faults = _looked_at(stills)
    facts, warnings = stills_facts(source), []
    if source.is_dir():
        for reason, names in _by_reason(read_folder(source).left_out).items():
            count = "1 file is" if len(names) == 1 else f"{len(names)} files are"
            warnings.append(f"{count} left out ({reason}): {_few(names)}")
    for what, found in faults.items():
        line = f"{len(found)} of {len(stills)} stills {what}: {_few(found)}"
        if damage == "refuse":
            raise footage_error(source, line)
        warnings.append(line)
    if len(set(sizes.values())) > 1:
        warnings.append(_mixed(source, role, sizes))
    names = [still.name for still in stills] if source.is_dir() else []
    return {"facts": facts, "names": names, "sound": [], "warnings": warnings}


def _looked_at(stills: list[Path]) -> tuple[dict[str, tuple[int, int]], dict[str, list[str]]]:
    """Size of each still that can be read, px, and names by what is wrong with them."""
    sizes: dict[str, tuple[int, int]] = {}
    faults: dict[str, list[str]] = {}
    for still in stills:
        try:
            height, width = read_image(still).shape[:2]
        except FootageError:
            faults.setdefault("cannot be decoded", []).append(still.name)
            continue
        sizes[still.name] = width, height
        if is_damaged_jpeg(still.read_bytes()):
            faults.setdefault("are damaged, and a part made up", []).append(still.name)
    return sizes, faults


def _mixed(source: Path, role: str, sizes: dict[str, tuple[int, int]]) -> str:
    """A line about stills of several sizes.

    Raises:
        FootageError: a film is to be made of them.
    """
    first, size = next(iter(sizes.items()))
    name, other = next((n, s) for n, s in sizes.items() if s != size)
    said = f"{name} is {other[0]}x{other[1]} px, {first} {size[0]}x{size[1]} px"
    if role == "target":
        problem = f"its stills differ in size ({said}), and a film has one"
        step = "bring them to one size, or add them as a source"
        raise FootageError(source, problem, step)
    return f"stills of {len(set(sizes.values()))} sizes: {said}; they are used as they are"


def _by_reason(left_out: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in left_out:
        found.setdefault(reason, []).append(name)
    return found


def _few(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _video(source: Path, damage: str, sound_codec: SoundCodec) -> dict[str, Any]:
    facts, times = probe(source), timeline(source)
    tracks = judged(source)
    _convert_one(source)
    if times.breaks:
        _require_one_size(source, times)
    facts["frames_hint"] = len(times.expected)
    warnings = [*remarks(facts), *_others(source), *time_lines(times, facts)]
    lines = loss_lines(times)
    if lines and damage == "refuse":
        raise footage_error(source, lines[0])
    sound = [track.described(sound_codec) for track in tracks]
    return {"facts": facts, "names": [], "sound": sound, "warnings": [*warnings, *lines]}


def _convert_one(source: Path) -> None:
    """Convert one picture, since not every format that is decoded can be.

    Raises:
        FootageError: it cannot.
    """
    with open_footage(source, 1) as footage:
        for frame in footage.frames():
            if frame.decoded:
                frame.planes()
                frame.rgb()
                return
    raise footage_error(source, "has no frame that can be decoded")


def _require_one_size(source: Path, times: Timeline) -> None:
    """Look at the frames of a joined recording that stand alone: its parts may differ in size.

    Raises:
        FootageError: they do.
    """
    with open_container(source) as container:
        stream = video_stream(container)
        sizes: list[tuple[int, int]] = []
        for packet in itertools.chain(packets(container, stream, end=times.end), [None]):
            if packet is None or packet.is_keyframe:
                sizes += [(f.width, f.height) for f in decode(stream.codec_context, packet)]
    for size in sizes:
        if size != sizes[0]:
            was, now = (f"{width}x{height}" for width, height in (sizes[0], size))
            raise footage_error(source, f"changes its size from {was} to {now} px")


def _others(source: Path) -> list[str]:
    """What a file holds beside its picture and its sound, and is not used."""
    with open_container(source) as container:
        pictures = [s for s in container.streams.video if not is_cover(s)]
        others = {
            "further video streams": len(pictures) - 1,
            "cover pictures": len(container.streams.video) - len(pictures),
            "subtitle streams": len(container.streams.subtitles),
            "data streams": len(container.streams.data),
        }
    counted = [f"{count} {name}" for name, count in others.items() if count]
    return [f"not used: {', '.join(counted)}"] if counted else []


def main(arguments: list[str]) -> int:
    """Print JSON: what was found, or `refused` with subject, problem and next step."""
    source, role, damage, codec = Path(arguments[0]), *arguments[1:4]
    try:
        found = inspected(source, role, damage, codec)  # type: ignore[arg-type]  # params are checked
    except FootageError as error:
        found = {"refused": [error.subject, error.problem, error.next_step]}
    except MemoryError:
        found = {"refused": [str(source), "needs more memory than there is", "free some"]}
    except OSError as error:
        why = error.strerror or str(error)
        found = {"refused": [str(source), f"cannot be read ({why})", "correct that"]}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
