"""Fidelity: how far a picture differs from another where it should not."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_] | npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

WINDOW_PX = 11
SIGMA_PX = 1.5
_C1 = (0.01 * 255.0) ** 2
_C2 = (0.03 * 255.0) ** 2
PSNR_OF_EQUALS_DB = 100.0
"""PSNR given for equal pictures, whose true value is infinite."""


def _blur(picture: Floats) -> Floats:
    return cv2.GaussianBlur(picture, (WINDOW_PX, WINDOW_PX), SIGMA_PX)


def ssim_map(first: Picture, second: Picture) -> Floats:
    """Structural similarity of luma pictures (H,W) uint8 at every pixel, float32 in [-1,1].

    Gaussian window of 11x11, sigma 1.5, K1 = 0.01, K2 = 0.03 (Wang et al. 2004, equation 13).
    """
    x, y = first.astype(np.float32), second.astype(np.float32)
    mean_x, mean_y = _blur(x), _blur(y)
    both = cv2.multiply(mean_x, mean_y)
    covariance = cv2.subtract(_blur(cv2.multiply(x, y)), both)
    squares = cv2.add(cv2.multiply(mean_x, mean_x), cv2.multiply(mean_y, mean_y))
    energy = cv2.add(cv2.multiply(x, x), cv2.multiply(y, y))
    variances = cv2.subtract(_blur(energy), squares)
    above = cv2.multiply(both * 2.0 + _C1, covariance * 2.0 + _C2)
    return cv2.divide(above, cv2.multiply(squares + _C1, variances + _C2))


def ssim(first: Picture, second: Picture, counted: Mask | None = None) -> float:
    """Mean of `ssim_map` over the pixels of `counted` (H,W; all if left out); nan if none.

    Exactly 1 for one and the same picture, whose map is 1 up to rounding.
    """
    if first is second and (counted is None or np.any(counted)):
        return 1.0
    values = ssim_map(first, second)
    if counted is None:
        return float(values.mean(dtype=np.float64))
    mask = np.asarray(counted, bool)
    return float(values[mask].mean(dtype=np.float64)) if mask.any() else float("nan")


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit pictures; 100 for equal ones, nan for nan.

    10 log10(255^2 / mse).
    """
    if mean_squared_error == 0:
        return PSNR_OF_EQUALS_DB
    return float(min(10.0 * np.log10(255.0**2 / mean_squared_error), PSNR_OF_EQUALS_DB))


def difference_outside(first: Picture, second: Picture, inside: Mask) -> tuple[float, int]:
    """Mean squared and largest difference of (H,W) uint8 where `inside` is 0; nan, 0 if nowhere."""
    outside = cv2.compare(np.asarray(inside, np.uint8), 0, cv2.CMP_EQ)
    count = cv2.countNonZero(outside)
    if not count:
        return float("nan"), 0
    squared = cv2.norm(first, second, cv2.NORM_L2SQR, outside)
    return squared / count, int(cv2.norm(first, second, cv2.NORM_INF, outside))


def reach(mask: npt.NDArray[np.uint8], margin_px: int) -> npt.NDArray[np.uint8]:
    """Mask (H,W) uint8: 255 where a pixel above 0 is within `margin_px` in x and in y, else 0."""
    hit = np.asarray(cv2.compare(mask, 0, cv2.CMP_GT), np.uint8)
    if margin_px <= 0:
        return hit
    side = 2 * margin_px + 1
    return cv2.dilate(hit, cv2.getStructuringElement(cv2.MORPH_RECT, (side, side)))
