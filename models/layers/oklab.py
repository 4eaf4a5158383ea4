"""Oklab, an opponent colour space in which lightness and chroma are nearly independent.

Matrices: B. Ottosson, "A perceptual color space for image processing" (2020).
"""

from __future__ import annotations

from functools import cache

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

LINEAR_END = 0.0031308
"""sRGB is linear up to here, and a root above (IEC 61966-2-1)."""

_MATRICES = {
    "cones": _TO_CONES,
    "lab": _TO_LAB,
    "from cones": _TO_CONES.inverse(),
    "from lab": _TO_LAB.inverse(),
}


@cache
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _matrix(name: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _MATRICES[name].to(device, dtype)


def _mix(name: str, picture: Tensor) -> Tensor:
    matrix = _matrix(name, picture.dtype, picture.device)
    return torch.einsum("ij,bjhw->bihw", matrix, picture)


def to_oklab(picture: Tensor) -> Tensor:
    """SRGB (B,3,H,W) in [-1,1] -> L in [0,1], a, b (B,3,H,W)."""
    coded = picture.clamp(-1, 1) * 0.5 + 0.5
    linear = torch.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return _mix("lab", _mix("cones", linear) ** (1 / 3))


def to_rgb(lab: Tensor) -> Tensor:
    """L, a, b (B,3,H,W) -> sRGB in [-1,1]; colours outside are clipped."""
    linear = _mix("from cones", _mix("from lab", lab) ** 3).clamp(0, 1)
    # The root has no finite slope at 0: there it is not used, but its gradient would be NaN.
    root = 1.055 * linear.clamp(min=LINEAR_END) ** (1 / 2.4) - 0.055
    return torch.where(linear <= LINEAR_END, linear * 12.92, root) * 2 - 1
