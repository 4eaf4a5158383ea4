"""YUV 4:2:0 planes to RGB and back, whole or in a box, with the right matrix and range.

Coefficients follow ITU-T H.273: Kr and Kb per colour space, 16-235 / 16-240 in limited range.
Chroma is replicated over its 2x2 pixels on the way to RGB and averaged over them on the way
back, so a box whose corners are even touches no sample outside itself.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Planes = tuple[U8, U8, U8]
Box = tuple[int, int, int, int]

_WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
SPACES = tuple(_WEIGHTS)
_KNOWN = ("bt601", "limited")
"""What OpenCV converts by itself, in integers."""
_BAND_ROWS = 128


@lru_cache(maxsize=32)
def yuv_matrix(space: str, colour_range: str) -> tuple[F32, F32]:
    """Matrices (3,4) float32 from RGB to YUV and back, of values 0-255 with their offsets.

    Args:
        space: one of SPACES.
        colour_range: "limited" or "full".
    """
    kr, kb = _WEIGHTS[space]
    kg = 1 - kr - kb
    full = colour_range == "full"
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (219 / 255, 224 / 255, 16.0)
    # Y = kr R + kg G + kb B; U = (B - Y) / (2 (1 - kb)); V = (R - Y) / (2 (1 - kr)); scaled to the
    # range's levels (ITU-R BT.601, 709, 2020).
    linear = np.array(
        [
            np.array([kr, kg, kb]) * luma,
            np.array([-kr, -kg, 1 - kb]) * chroma / (2 * (1 - kb)),
            np.array([1 - kr, -kg, -kb]) * chroma / (2 * (1 - kr)),
        ]
    )
    offset = np.array([black, 128.0, 128.0])
    back = np.linalg.inv(linear)
    forward = np.column_stack([linear, offset]).astype(np.float32)
    backward = np.column_stack([back, -back @ offset]).astype(np.float32)
    forward.setflags(write=False)
    backward.setflags(write=False)
    return forward, backward


def even_box(box: Box, width: int, height: int) -> Box:
    """Smallest box with even corners around `box` (x0, y0, x1, y1; px, end exclusive).

    It is clipped to the picture; a picture of odd size ends at its own edge.
    """
    x0, y0, x1, y1 = box
    left, top = max(x0, 0) // 2 * 2, max(y0, 0) // 2 * 2
    right, bottom = min(x1 + x1 % 2, width), min(y1 + y1 % 2, height)
    return left, top, max(right, left), max(bottom, top)


def chroma_box(box: Box) -> Box:
    """The same box in the chroma planes; its corners are even, or lie on the picture's edge."""
    x0, y0, x1, y1 = box
    return x0 // 2, y0 // 2, (x1 + 1) // 2, (y1 + 1) // 2


def _require_even(box: Box) -> None:
    if box[0] % 2 or box[1] % 2:
        raise ValueError(f"box {box} does not begin at even px; use even_box")


def yuv420_region_to_rgb(
    planes: Planes, box: Box, space: str = "bt601", colour_range: str = "limited"
) -> U8:
    """RGB of a box.

    Args:
        planes: y (H,W), u and v (ceil(H/2), ceil(W/2)), uint8.
        box: x0, y0, x1, y1 in px, end exclusive, inside the picture; x0 and y0 are even.
        space: one of SPACES.
        colour_range: "limited" or "full".

    Returns:
        uint8 (y1-y0, x1-x0, 3).
    """
    _require_even(box)
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        return np.zeros((max(y1 - y0, 0), max(x1 - x0, 0), 3), np.uint8)
    cx0, cy0, cx1, cy1 = chroma_box(box)
    if (space, colour_range) == _KNOWN:
        inside = tuple(p[cy0:cy1, cx0:cx1] for p in planes[1:])
        return yuv420_to_rgb((planes[0][y0:y1, x0:x1], inside[0], inside[1]), *_KNOWN)
    yuv = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    wide = np.empty((2 * (cy1 - cy0), 2 * (cx1 - cx0)), np.uint8)
    yuv[..., 0] = planes[0][y0:y1, x0:x1]
    for channel in (1, 2):
        part = planes[channel][cy0:cy1, cx0:cx1]
        cv2.resize(part, wide.shape[::-1], dst=wide, interpolation=cv2.INTER_NEAREST)
        yuv[..., channel] = wide[: y1 - y0, : x1 - x0]
    rgb: U8 = cv2.transform(yuv, yuv_matrix(space, colour_range)[1])
    return rgb


def rgb_to_yuv420(rgb: U8, space: str = "bt601", colour_range: str = "limited") -> Planes:
    """Planes y (H,W), u, v (ceil(H/2), ceil(W/2)) of an RGB picture uint8 (H,W,3)."""
    height, width = rgb.shape[:2]
    if not height or not width:
        empty = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
        return np.zeros((height, width), np.uint8), empty, empty.copy()
    forward = yuv_matrix(space, colour_range)[0]
    luma = cv2.transform(rgb, forward[:1])
    if height % 2 or width % 2:
        rgb = cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    # The mean of the chroma is the chroma of the mean; float, so that it is rounded once.
    half = ((width + 1) // 2, (height + 1) // 2)
    small = cv2.resize(rgb.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    chroma = cv2.transform(small, forward[1:])
    u, v = np.clip(np.rint(np.moveaxis(chroma, -1, 0)), 0, 255).astype(np.uint8)
    return luma, u, v


def rgb_to_yuv420_region(
    planes: Planes, box: Box, rgb: U8, space: str = "bt601", colour_range: str = "limited"
) -> None:
    """Write RGB into a box of writable planes, in place; samples outside the box stay.

    Args:
        planes: as in `yuv420_region_to_rgb`.
        box: as there; x1 and y1 are even or lie on the picture's edge.
        rgb: uint8 (y1-y0, x1-x0, 3).
        space: one of SPACES.
        colour_range: "limited" or "full".
    """
    _require_even(box)
    x0, y0, x1, y1 = box
    height, width = planes[0].shape
    if (x1 % 2 and x1 != width) or (y1 % 2 and y1 != height):
        raise ValueError(f"box {box} does not end at even px; use even_box")
    cx0, cy0, cx1, cy1 = chroma_box(box)
    luma, u, v = rgb_to_yuv420(rgb, space, colour_range)
    planes[0][y0:y1, x0:x1] = luma
    planes[1][cy0:cy1, cx0:cx1] = u
    planes[2][cy0:cy1, cx0:cx1] = v


@lru_cache(maxsize=32)
def _tables(space: str, colour_range: str) -> tuple[U8, tuple[U8, U8], tuple[U8, U8]]:
    """Tables that turn planes of any space into such that BT.601's limited formula fits.

    Luma needs one table; red and blue need u and v stretched; green needs them differently.
    """
    wanted = yuv_matrix(space, colour_range)[1].astype(np.float64)
    known = yuv_matrix(*_KNOWN)[1].astype(np.float64)
    level = np.arange(256.0)
    scale = wanted[0, 0] / known[0, 0]
    black = 0.0 if colour_range == "full" else 16.0

    def table(values: npt.NDArray[np.float64]) -> U8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    def chroma(row: int, column: int) -> U8:
        return table((level - 128) * wanted[row, column] / known[row, column] + 128)

    luma = table((level - black) * scale + 16)
    return luma, (chroma(2, 1), chroma(0, 2)), (chroma(1, 1), chroma(1, 2))


def _pack_luma(planes: Planes, table: U8 | None) -> U8:
    """Buffer for OpenCV with luma in place and room for chroma; odd sizes are padded by 1 px."""
    height, width = planes[0].shape
    rows, columns = planes[1].shape
    packed = np.empty((3 * rows, 2 * columns), np.uint8)
    y = packed[: 2 * rows]
    y[:height, :width] = planes[0] if table is None else cv2.LUT(planes[0], table)
    y[height:, :width] = y[height - 1, :width]
    y[:, width:] = y[:, width - 1 : width]
    return packed


def _pack_chroma(packed: U8, planes: Planes, tables: tuple[U8, U8] | None) -> None:
    area = planes[1].size
    flat = packed.reshape(-1)
    for channel, start in ((1, 4 * area), (2, 5 * area)):
        plane = planes[channel]
        part = flat[start : start + area].reshape(plane.shape)
        part[:] = plane if tables is None else cv2.LUT(plane, tables[channel - 1])


def _band_to_rgb(planes: Planes, space: str, colour_range: str) -> U8:
    """RGB of a few rows, even in number unless they are the last."""
    height, width = planes[0].shape
    known = (space, colour_range) == _KNOWN
    luma, red_blue, green = (None, None, None) if known else _tables(space, colour_range)
    packed = _pack_luma(planes, luma)
    _pack_chroma(packed, planes, red_blue)
    rgb: U8 = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)
    if not known:
        _pack_chroma(packed, planes, green)
        cv2.mixChannels([cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)], [rgb], [1, 1])
    return rgb[:height, :width]


def yuv420_to_rgb(planes: Planes, space: str = "bt601", colour_range: str = "limited") -> U8:
    """RGB of a whole picture, uint8 (H,W,3).

    OpenCV's integer formula for limited BT.601 does the work; other spaces are brought to it by
    tables first, which is several times as fast as `yuv420_region_to_rgb` and differs from it
    by at most 2 levels. The picture is done in bands, so that all between stays in the cache.
    """
    height, width = planes[0].shape
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        half = slice(top // 2, (top + _BAND_ROWS) // 2)
        band = planes[0][rows], planes[1][half], planes[2][half]
        rgb[rows] = _band_to_rgb(band, space, colour_range)
    return rgb
