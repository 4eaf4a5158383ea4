"""Colour as the eye tells it apart: CIE Lab and the CIEDE2000 difference."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Lab = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
_LEVEL = np.arange(256) / 255.0
_LINEAR = np.where(_LEVEL <= 0.04045, _LEVEL / 12.92, ((_LEVEL + 0.055) / 1.055) ** 2.4)
_LINEAR_OF_LEVEL = _LINEAR.astype(np.float32)
_XYZ_OF_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_RELATIVE = _XYZ_OF_RGB / _XYZ_OF_RGB.sum(axis=1, keepdims=True)
_LAB_OF_ROOTS = np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], np.float64)
_LINEAR_BELOW = 0.008856


def rgb_to_lab(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """uint8 RGB (H,W,3), sRGB -> float32 Lab (H,W,3), D65; CIE 15:2004, IEC 61966-2-1.

    OpenCV's own reads a coarse table, is up to 0.4 off, and takes a tenth of a second to begin.
    """
    relative = cv2.transform(cv2.LUT(rgb, _LINEAR_OF_LEVEL), _RELATIVE)
    above = relative > _LINEAR_BELOW
    roots = np.where(above, cv2.pow(relative, 1 / 3), relative * 7.787 + 16 / 116)
    return np.asarray(cv2.transform(roots, _LAB_OF_ROOTS), np.float32)


def mean_lab(lab: npt.NDArray[np.float32], weight: npt.NDArray[np.floating]) -> Values:
    """Mean (3,) of Lab (H,W,3) weighted by `weight` (H,W); nan where the weights sum to 0."""
    total = float(weight.sum(dtype=np.float64))
    if total <= 0:
        return np.full(3, np.nan)
    summed = np.tensordot(weight.astype(np.float64), lab.astype(np.float64), axes=2)
    return np.asarray(summed / total, np.float64)


def delta_e_2000(first: Lab, second: Lab) -> Values:
    """CIEDE2000 difference of Lab colours (...,3); about 1 is just visible.

    Sharma, Wu and Dalal 2005, equations 2-22, with all weights 1.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    chroma = (np.hypot(one[..., 1], one[..., 2]) + np.hypot(two[..., 1], two[..., 2])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    a1, a2 = one[..., 1] * stretch, two[..., 1] * stretch
    c1, c2 = np.hypot(a1, one[..., 2]), np.hypot(a2, two[..., 2])
    h1 = np.degrees(np.arctan2(one[..., 2], a1)) % 360
    h2 = np.degrees(np.arctan2(two[..., 2], a2)) % 360
    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, (h2 - h1 + 180.0) % 360.0 - 180.0)
    mean_hue = np.where(grey, h1 + h2, (h1 + turn / 2) % 360)
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    mean = np.stack([(one + two)[..., 0] / 2, (c1 + c2) / 2, mean_hue], axis=-1)
    return _weighted(np.stack([two[..., 0] - one[..., 0], c2 - c1, hue], axis=-1), mean)


def _weighted(apart: Values, mean: Values) -> Values:
    """Differences (...,3) in lightness, chroma and hue, joined with CIEDE2000's weights.

    `mean` (...,3) is the pair's mean lightness, chroma and hue in degrees.
    """
    light, chroma, hue = np.moveaxis(mean, -1, 0)
    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    middle = (light - 50) ** 2
    by_light = apart[..., 0] / (1 + 0.015 * middle / np.sqrt(20 + middle))
    by_chroma = apart[..., 1] / (1 + 0.045 * chroma)
    by_hue = apart[..., 2] / (1 + 0.015 * chroma * t)
    angle = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    turning = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(angle))
    squares = by_light**2 + by_chroma**2 + by_hue**2 + turning * by_chroma * by_hue
    return np.asarray(np.sqrt(squares))
