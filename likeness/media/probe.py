"""What a piece of footage is: stream facts, found without decoding more than one picture.

Imports PyAV alone, so that the command line can look at a file before it is added.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from likeness.contracts.errors import FootageError
from likeness.media.container import (
    decode,
    footage_error,
    open_container,
    packets,
    video_stream,
)

STILL_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
STILLS_RATE = 25
"""Frames per second that a folder of stills is played at."""
_DISPLAY_MATRIX = "DISPLAYMATRIX"
_SPACES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""ITU-T H.273 MatrixCoefficients -> name in likeness.media.colour; all else counts as BT.601."""
_FULL_RANGE = 2


@dataclass(frozen=True)
class Orientation:
    """How the stored picture is turned to stand upright: mirrored first, then turned.

    Attributes:
        turns: quarter turns clockwise, 0 to 3.
        mirrored: True: left and right are exchanged before the turn.
    """

    turns: int = 0
    mirrored: bool = False

    def upright(self, width: int, height: int) -> tuple[int, int]:
        """Size in px after the turn."""
        return (height, width) if self.turns % 2 else (width, height)


def orientation_of(frame: Any, path: Path) -> Orientation:
    """Orientation from the display matrix of a decoded frame (ISO 14496-12, 6.2.2).

    Raises:
        FootageError: the picture is turned by something other than quarter turns.
    """
    try:
        data = frame.side_data.get(_DISPLAY_MATRIX)
    except ValueError:  # PyAV has no name for some other side data, such as EXIF, and gives up
        return Orientation(turns=round(-frame.rotation / 90) % 4)
    if data is None:
        return Orientation()
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the exchange of left and right, which negates the first column
        a, b = -a, -b
    angle = math.degrees(math.atan2(b, a))
    turns = round(angle / 90)
    if (a, b, c, d) != (0, 0, 0, 0) and abs(angle - 90 * turns) > 1:
        raise footage_error(path, f"is turned by {angle:.0f} degrees, not by quarter turns")
    return Orientation(turns % 4, mirrored)


def first_frames(path: Path, container: Any) -> list[Any]:
    """The first frames that a decoder hands over at once; the container stands behind them.

    Raises:
        FootageError: no frame can be decoded.
    """
    stream = video_stream(container)
    context = stream.codec_context
    for packet in packets(container, stream):
        if frames := decode(context, packet):
            return frames
    if frames := decode(context, None):
        return frames
    raise footage_error(path, "has no frame that can be decoded")


def _pair(value: Fraction | None, fallback: tuple[int, int]) -> list[int]:
    return [value.numerator, value.denominator] if value else list(fallback)


def _colour(frame: Any) -> dict[str, Any]:
    tags = {
        "space": int(frame.colorspace),
        "range": int(frame.color_range),
        "primaries": int(frame.color_primaries),
        "transfer": int(frame.color_trc),
    }
    name = frame.format.name
    if frame.format.is_rgb or name.startswith(("pal", "gray", "mono", "ya")):
        # Such pictures are converted to YUV here, so this project chooses (media.planes).
        tags.update(space=1, range=1)
        return {"colour_space": "bt709", "colour_range": "limited", "colour_tags": tags}
    full = tags["range"] == _FULL_RANGE or name.startswith("yuvj")
    return {
        "colour_space": _SPACES.get(tags["space"], "bt601"),
        "colour_range": "full" if full else "limited",
        "colour_tags": tags,
    }


def _frames_hint(stream: Any) -> int:
    if stream.frames:
        return int(stream.frames)
    seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if not seconds and stream.container.duration:
        seconds = stream.container.duration / av.time_base
    return round(seconds * float(stream.average_rate or STILLS_RATE))


def video_facts(path: Path, container: Any) -> tuple[dict[str, Any], Orientation]:
    """Facts of an open container, which is left somewhere behind its first frame.

    Raises:
        FootageError: no frame can be decoded, or an odd turn.
    """
    return frame_facts(path, container, first_frames(path, container)[0])


def frame_facts(path: Path, container: Any, frame: Any) -> tuple[dict[str, Any], Orientation]:
    """Facts of an open container by its first frame.

    Raises:
        FootageError: an odd turn.
    """
    stream = video_stream(container)
    orientation = orientation_of(frame, path)
    width, height = orientation.upright(frame.width, frame.height)
    aspect = stream.sample_aspect_ratio
    if aspect and orientation.turns % 2:
        aspect = 1 / aspect
    rate = stream.average_rate or stream.base_rate or stream.guessed_rate
    facts = {
        "kind": "video",
        "width_px": width,
        "height_px": height,
        "rotation_deg": 90 * orientation.turns,
        "mirrored": orientation.mirrored,
        "time_base": _pair(stream.time_base, (1, 1000)),
        "average_rate": _pair(rate, (STILLS_RATE, 1)),
        "codec": stream.codec_context.codec.canonical_name,
        "pixel_format": frame.format.name,
        "audio_streams": len(container.streams.audio),
        "frames_hint": _frames_hint(stream),
        "sample_aspect_ratio": _pair(aspect, (1, 1)),
        **_colour(frame),
    }
    return facts, orientation


def list_stills(folder: Path) -> list[Path]:
    """Pictures in a folder, by name.

    Raises:
        FootageError: there is none.
    """
    stills = sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in STILL_SUFFIXES and not p.name.startswith(".")
    )
    if not stills:
        kinds = ", ".join(STILL_SUFFIXES)
        raise footage_error(folder, f"holds no stills ({kinds})")
    return stills


def stills_facts(folder: Path) -> dict[str, Any]:
    """Facts of a folder of stills, from its first readable picture.

    Raises:
        FootageError: there is no picture, or none that can be decoded.
    """
    stills = list_stills(folder)
    for still in stills:
        try:
            with open_container(still) as container:
                facts, orientation = video_facts(still, container)
        except FootageError:
            continue  # counted as an undecodable frame when the footage is read
        del orientation
        facts.update(
            kind="stills",
            rotation_deg=0,
            mirrored=False,
            time_base=[1, STILLS_RATE],
            average_rate=[STILLS_RATE, 1],
            audio_streams=0,
            frames_hint=len(stills),
            sample_aspect_ratio=[1, 1],
            colour_space="bt709",
            colour_range="limited",
            colour_tags={"space": 1, "range": 1, "primaries": 1, "transfer": 1},
        )
        return facts
    raise footage_error(folder, "holds no still that can be decoded")


def probe(path: Path) -> dict[str, Any]:
    """Facts of a video file or a folder of stills; see `Footage.facts` for the keys.

    Raises:
        FootageError: empty, no video, sound only, or no frame that can be decoded.
    """
    if path.is_dir():
        return stills_facts(path)
    with open_container(path) as container:
        return video_facts(path, container)[0]
