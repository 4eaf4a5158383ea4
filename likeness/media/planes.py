"""Planes of a decoded frame: 8-bit 4:2:0, upright, without copying where nothing is to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from likeness.media.colour import Planes
from likeness.media.container import named_faults
from likeness.media.probe import Orientation, is_yuv

U8 = npt.NDArray[np.uint8]
DIRECT_FORMATS = ("yuv420p", "yuvj420p")
"""Formats whose planes are used as they are decoded."""
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_RANGES = {"limited": 1, "full": 2}


def plane_view(plane: Any, width: int, height: int) -> U8:
    """Read-only view (height, width) of a plane; the decoder may still refer to its bytes."""
    stored = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
    stored.setflags(write=False)
    return stored


def stored_planes(frame: Any, facts: dict[str, Any], reformatter: VideoReformatter) -> Planes:
    """Planes as stored in the file, converted to 8-bit 4:2:0 if they are anything else.

    Raises:
        FootageError: FFmpeg cannot convert the format.
    """
    if frame.format.name not in DIRECT_FORMATS:
        colour_range = _RANGES[facts["colour_range"]]
        yuv = is_yuv(frame.format)
        problem = f"is stored as {frame.format.name}, which cannot be converted"
        with named_faults(Path(facts["codec"]), problem, "convert the footage to H.264"):
            frame = reformatter.reformat(
                frame,
                format="yuv420p",
                dst_colorspace=None if yuv else 1,
                interpolation=_EXACT,
                src_color_range=colour_range if yuv else 2,
                dst_color_range=colour_range,
                threads=1,
            )
    width, height = frame.width, frame.height
    half = (width + 1) // 2, (height + 1) // 2
    y, u, v = frame.planes[:3]
    return plane_view(y, width, height), plane_view(u, *half), plane_view(v, *half)


def _turn(plane: U8, orientation: Orientation) -> U8:
    mirrored = plane[:, ::-1] if orientation.mirrored else plane
    return np.ascontiguousarray(np.rot90(mirrored, -orientation.turns))


def _turn_odd_chroma(plane: U8, width: int, height: int, orientation: Orientation) -> U8:
    """Turn chroma of a picture of odd size, whose 2x2 blocks begin elsewhere after the turn."""
    full = plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    turned = _turn(full, orientation)
    rows, columns = turned.shape
    turned = cv2.copyMakeBorder(turned, 0, rows % 2, 0, columns % 2, cv2.BORDER_REPLICATE)
    half = turned.shape[1] // 2, turned.shape[0] // 2
    small: U8 = cv2.resize(turned, half, interpolation=cv2.INTER_AREA)
    return small


def upright(planes: Planes, orientation: Orientation) -> Planes:
    """Turn planes as they were stored to how they are seen."""
    if orientation == Orientation():
        return planes
    y, u, v = planes
    height, width = y.shape
    if width % 2 or height % 2:
        turned = [_turn_odd_chroma(p, width, height, orientation) for p in (u, v)]
    else:
        turned = [_turn(p, orientation) for p in (u, v)]
    return _turn(y, orientation), turned[0], turned[1]
