"""Oklab, an opponent colour space in which lightness and chroma are nearly independent.

Matrices: B. Ottosson, "A perceptual color space for image processing" (2020).
"""

from __future__ import annotations

import torch
from torch import Tensor

_TO_CONES = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _mix(matrix: Tensor, picture: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix.to(picture), picture)


def to_oklab(picture: Tensor) -> Tensor:
    """SRGB (B,3,H,W) in [-1,1] -> L in [0,1], a, b (B,3,H,W)."""
    coded = picture.clamp(-1, 1) * 0.5 + 0.5
    linear = torch.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return _mix(_TO_LAB, _mix(_TO_CONES, linear) ** (1 / 3))


def to_rgb(lab: Tensor) -> Tensor:
    """L, a, b (B,3,H,W) -> sRGB in [-1,1]; colours outside are clipped."""
    linear = _mix(_TO_CONES.inverse(), _mix(_TO_LAB.inverse(), lab) ** 3).clamp(0, 1)
    coded = torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return coded * 2 - 1
