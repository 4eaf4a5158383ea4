"""What a piece of footage is: stream facts, found without decoding more than one picture.

Imports PyAV alone, so that the command line can look at a file before it is added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from likeness.contracts.errors import FootageError
from likeness.media.boxes import track_matrix
from likeness.media.container import (
    decode,
    footage_error,
    open_container,
    packets,
    video_stream,
)
from likeness.media.stills import STILLS_RATE, is_still, list_stills

_SPACES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""ITU-T H.273 MatrixCoefficients -> name in likeness.media.colour; all else counts as BT.601."""
_FULL_RANGE = 2
_STILL_CODECS = {".png": "png", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff", ".bmp": "bmp"}
FULL_FORMATS = ("yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p")
"""Formats that FFmpeg defines as those without the j, in full range."""


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


def orientation_of(frame: Any, stream: Any, path: Path) -> Orientation:
    """Orientation of a stream: the track's matrix in MP4 and MOV, else what the frame says.

    `frame.side_data` is not asked: in PyAV 18.1 it ends the process where a frame carries data
    that has a name, such as the colour profile of a PNG.

    Raises:
        FootageError: the picture is turned by something other than quarter turns.
    """
    matrix = track_matrix(path, stream.id) if _is_mov(stream.container) else None
    if matrix is None:
        turned, mirrored = float(-frame.rotation), False
    else:
        a, b, c, d = matrix
        mirrored = a * d - b * c < 0
        if mirrored:  # undo the exchange of left and right, which negates the first column
            a, b = -a, -b
        turned = math.degrees(math.atan2(b, a))
    turns = round(turned / 90)
    if abs(turned - 90 * turns) > 1:
        raise footage_error(path, f"is turned by {turned:.0f} degrees, not by quarter turns")
    return Orientation(turns % 4, mirrored)


def _is_mov(container: Any) -> bool:
    return str(container.format.name).startswith("mov")


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


def is_yuv(pixel_format: Any) -> bool:
    """True for luma and two chroma values by a matrix; what is RGB, grey or a palette is not.

    Told by what FFmpeg's descriptor of the format says, not by its name.
    """
    other = pixel_format.is_rgb or pixel_format.has_palette or pixel_format.is_bayer
    return not other and len(pixel_format.components) >= 3


def _colour(frame: Any) -> dict[str, Any]:
    tags = {
        "space": int(frame.colorspace),
        "range": int(frame.color_range),
        "primaries": int(frame.color_primaries),
        "transfer": int(frame.color_trc),
    }
    if not is_yuv(frame.format):
        # Such pictures are converted to YUV here, so this project chooses (media.planes).
        tags.update(space=1, range=1)
        return {"colour_space": "bt709", "colour_range": "limited", "colour_tags": tags}
    full = tags["range"] == _FULL_RANGE or frame.format.name in FULL_FORMATS
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
    orientation = orientation_of(frame, stream, path)
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
        "bit_depth": max(c.bits for c in frame.format.components),
        "interlaced": bool(frame.interlaced_frame),
        "audio_streams": len(container.streams.audio),
        "frames_hint": _frames_hint(stream),
        "sample_aspect_ratio": _pair(aspect, (1, 1)),
        **_colour(frame),
    }
    return facts, orientation


def stills_facts(path: Path) -> dict[str, Any]:
    """Facts of a folder of stills, or of one, from its first readable picture.

    Raises:
        FootageError: there is no picture, or none that can be decoded.
    """
    # The one reader of pictures; it loads OpenCV, which most who look at a video do without.
    from likeness.media.pictures import read_image

    stills = list_stills(path)
    for still in stills:
        try:
            height, width = read_image(still).shape[:2]
        except FootageError:
            continue  # counted as an undecodable frame when the footage is read
        return {
            "kind": "stills",
            "width_px": width,
            "height_px": height,
            "rotation_deg": 0,
            "mirrored": False,
            "time_base": [1, STILLS_RATE],
            "average_rate": [STILLS_RATE, 1],
            "codec": _STILL_CODECS.get(still.suffix.lower(), "mjpeg"),
            "pixel_format": "rgb24",
            "audio_streams": 0,
            "frames_hint": len(stills),
            "sample_aspect_ratio": [1, 1],
            "colour_space": "bt709",
            "colour_range": "limited",
            "colour_tags": {"space": 1, "range": 1, "primaries": 1, "transfer": 1},
        }
    raise footage_error(path, "holds no still that can be decoded")


def probe(path: Path) -> dict[str, Any]:
    """Facts of a video file, a still or a folder of them; see `Footage.facts` for the keys.

    Raises:
        FootageError: empty, no video, sound only, or no frame that can be decoded.
    """
    if path.is_dir() or is_still(path):
        return stills_facts(path)
    with open_container(path) as container:
        return video_facts(path, container)[0]
