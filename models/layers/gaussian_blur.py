"""Gaussian smoothing, plain and inside a mask, at a cost that does not grow with the radius."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def blur(picture: Tensor, sigma_px: float) -> Tensor:
    """Gaussian of (B,C,H,W), zero outside; wide ones run on a smaller picture.

    Args:
        sigma_px: standard deviation; below 0.3 nothing happens.
    """
    if sigma_px < 0.3:
        return picture
    shrink = 1
    while sigma_px / shrink >= 3 and all(side % (shrink * 2) == 0 for side in picture.shape[-2:]):
        shrink *= 2
    small = functional.avg_pool2d(picture, shrink) if shrink > 1 else picture
    # Pooling has smoothed a little already: a box of n px has a variance of (n^2 - 1) / 12.
    sigma = math.sqrt(max(sigma_px**2 - (shrink**2 - 1) / 12, 0.0)) / shrink
    reach = math.ceil(2.5 * sigma)
    taps = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(-reach, reach + 1)]
    for dimension in (2, 3):
        small = _along(small, [tap / sum(taps) for tap in taps], dimension)
    if shrink == 1:
        return small
    return functional.interpolate(small, picture.shape[-2:], mode="bilinear", align_corners=False)


def _along(picture: Tensor, taps: list[float], dimension: int) -> Tensor:
    """Weighted sum of shifted pictures: quicker here than a convolution of each channel alone."""
    reach = len(taps) // 2
    side = picture.shape[dimension]
    padding = (0, 0, reach, reach) if dimension == 2 else (reach, reach, 0, 0)
    padded = functional.pad(picture, padding)
    total = padded.narrow(dimension, reach, side) * taps[reach]
    for step in range(reach):
        pair = padded.narrow(dimension, step, side) + padded.narrow(
            dimension, 2 * reach - step, side
        )
        total.add_(pair, alpha=taps[step])
    return total


def widen(picture: Tensor, reach: int) -> Tensor:
    """Greatest value within a square of 2 * reach + 1 px around, (B,C,H,W)."""
    return _greatest(_greatest(picture, reach, 3), reach, 2)


def _greatest(picture: Tensor, reach: int, dimension: int) -> Tensor:
    """Greatest value within 2 * reach + 1 px along a dimension: of halves, not by max_pool2d.

    Pictures are compared with themselves, shifted; on a CPU that is many times as quick.
    """
    side, wanted = picture.shape[dimension], 2 * reach + 1
    padding = (0, 0, reach, reach) if dimension == 2 else (reach, reach, 0, 0)
    found, width = functional.pad(picture, padding, value=-math.inf), 1
    while width < wanted:
        step = min(width, wanted - width)
        kept = found.shape[dimension] - step
        found = torch.maximum(found.narrow(dimension, 0, kept), found.narrow(dimension, step, kept))
        width += step
    return found.narrow(dimension, 0, side)


def masked_blur(picture: Tensor, mask: Tensor, sigma_px: float) -> Tensor:
    """Gaussian mean of (B,C,H,W) over the pixels that `mask` (B or 1,1,H,W) counts."""
    return blur(picture * mask, sigma_px) / blur(mask, sigma_px).clamp(min=1e-4)
