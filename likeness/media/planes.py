"""A decoded frame as 8-bit 4:2:0 planes and as RGB, upright.

Planes of 8-bit 4:2:0 are used as they are decoded, without copying, and RGB is made of them.
Everything else goes through swscale twice, each time from the frame as decoded: to planes for what
is written as H.264, and to RGB for what is looked at, so that no colour passes through 4:2:0.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media.colour import Planes
from likeness.media.container import named_faults
from likeness.media.probe import Orientation, is_yuv

U8 = npt.NDArray[np.uint8]
DIRECT_FORMATS = ("yuv420p", "yuvj420p")
"""Formats whose planes are used as they are decoded."""
HALVED_FORMATS = (*DIRECT_FORMATS, "yuva420p")
"""Formats that lose nothing as 8-bit 4:2:0 (transparency is never read): their RGB is of planes."""
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_AS_FFMPEG = Interpolation.BICUBIC | Interpolation.BITEXACT
"""What `ffmpeg -pix_fmt rgb24` does where no flags are given, in arithmetic of no one processor.

ACCURATE_RND changes nothing but 8-bit planar 4:2:2, by up to 3 levels, and is no nearer to the
formula there. Chroma is repeated along a row, since FULL_CHR_H_INT is off by default.
"""
_FATAL_FORMATS = ("yaf32be", "yaf32le")
"""Formats whose conversion ends the process: swscale 9.5 checks for them by an assertion."""
_RANGES = {"limited": 1, "full": 2}
_MATRICES = {"bt709": 1, "fcc": 4, "bt601": 5, "smpte240m": 7, "bt2020": 9}
"""Names in media.colour -> matrices as swscale numbers them."""


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
    upside_down = frame.planes[0].line_size < 0  # such as AMV: PyAV's view of it is not its rows
    if upside_down or frame.format.name not in DIRECT_FORMATS:
        colour_range = _RANGES[facts["colour_range"]]
        yuv = is_yuv(frame.format)
        with _named(frame, facts):
            frame = reformatter.reformat(
                frame,
                # Another format, or nothing would be done; the first three planes are the same.
                format="yuva420p" if upside_down else "yuv420p",
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


def stored_rgb(frame: Any, facts: dict[str, Any], reformatter: VideoReformatter) -> U8:
    """RGB (H,W,3) uint8 of a frame that is not 8-bit 4:2:0, as `ffmpeg -pix_fmt rgb24` makes it.

    Matrix and range are those of the footage; grey, palettes and RGB have neither.

    Raises:
        FootageError: FFmpeg cannot convert the format.
    """
    yuv = is_yuv(frame.format)
    with _named(frame, facts):
        picture = reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=_MATRICES[facts["colour_space"]] if yuv else None,
            interpolation=_AS_FFMPEG,
            src_color_range=_RANGES[facts["colour_range"]] if yuv else 2,
            dst_color_range=2,
            threads=1,
        )
    width = picture.width
    rgb = plane_view(picture.planes[0], 3 * width, picture.height)
    return np.ascontiguousarray(rgb).reshape(picture.height, width, 3)


def _named(frame: Any, facts: dict[str, Any]) -> AbstractContextManager[None]:
    problem, step = (
        f"is stored as {frame.format.name}, which cannot be converted",
        "convert the footage to H.264",
    )
    if frame.format.name in _FATAL_FORMATS:
        raise FootageError(facts["codec"], problem, step)
    return named_faults(Path(facts["codec"]), problem, step)


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


def upright_rgb(rgb: U8, orientation: Orientation) -> U8:
    """Turn a picture as it was stored to how it is seen."""
    return rgb if orientation == Orientation() else _turn(rgb, orientation)


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
