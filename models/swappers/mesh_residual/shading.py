"""Coarse light of a face, taken off one picture and put on another; and other light, by chance.

Light multiplies: what is dark takes little of its colour. In Oklab, whose coordinates are linear in
the cube roots of cone responses, one gain for all cones is one gain for all three coordinates, and
a tint shifts chroma in proportion to lightness.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.layers import random_numbers as draws
from models.layers.gaussian_blur import blur

TRUST = 0.03
"""Share of a window that must be seen for its mean to count half."""
WHITE = 0.25
"""Eyeballs and teeth take this share of the tint: they are nearer to white than skin is."""
GAINS = (0.4, 2.5)
"""Least and most that a texture's lightness is multiplied by."""


class Shading(NamedTuple):
    """Coarse Oklab (B,3,H,W) of a texture and of the target that it is to look like."""

    texture: Tensor
    target: Tensor


def coarse(picture: Tensor, mask: Tensor, inner: Tensor, reach_px: float) -> Tensor:
    """Mean light around each pixel, (B,3,H,W) in Oklab, everywhere.

    Wide Gaussian windows inside the face, narrow ones at its edge, where the border has to fit. A
    window in which little is seen leans on one three times as wide, and that on the whole face, so
    that places nobody saw are filled and not dark.

    Args:
        picture: (B,3,H,W) in Oklab.
        mask: (B,1,H,W), how far each pixel is seen.
        inner: (B,1,H,W), 0 at the edge of the face, 1 inside.
        reach_px: deviation of the wide window; the narrow one is a quarter of it.
    """
    total = mask.sum((2, 3), keepdim=True).clamp(min=1e-3)
    found = ((picture * mask).sum((2, 3), keepdim=True) / total).expand_as(picture)
    found = _finer(found, picture, mask, 3 * reach_px)
    found = _finer(found, picture, mask, reach_px)
    narrow = _finer(found, picture, mask, reach_px / 4)
    return narrow + inner * (found - narrow)


def _finer(found: Tensor, picture: Tensor, mask: Tensor, sigma_px: float) -> Tensor:
    weight = blur(mask, sigma_px)
    mean = blur(picture * mask, sigma_px) / weight.clamp(min=1e-4)
    return found + weight / (weight + TRUST) * (mean - found)


def relit(texture: Tensor, shading: Shading, white: Tensor) -> Tensor:
    """A texture in the target's light: (B,3,H,W) in Oklab.

    Args:
        texture: (B,3,H,W) in Oklab.
        shading: coarse light of both.
        white: (B,1,H,W), 1 on eyeballs and teeth.
    """
    base = shading.texture[:, :1].clamp(min=0.05)
    gain = (shading.target[:, :1] / base).clamp(*GAINS)
    share = (texture[:, :1] / base).clamp(0, 1.3) * (1 - (1 - WHITE) * white)
    tint = share * (shading.target[:, 1:] - gain * shading.texture[:, 1:])
    return torch.cat([texture[:, :1] * gain, texture[:, 1:] * gain + tint], 1)


def other_light(lab: Tensor, strength: float) -> Tensor:
    """The same pictures (B,3,S,S) in Oklab under a light drawn for each: S a multiple of 4.

    A gain, a slope across the picture, in half of them the soft edge of a shadow, a tint. Nothing
    becomes brighter than white. `strength` in [0,1] scales all of it.
    """
    count, side = len(lab), lab.shape[-1]
    axis = torch.linspace(-1, 1, side // 4)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    normal = draws.randn(7, count, 1, 1, 1)
    slope = (0.15 * normal[0] * x + 0.10 * normal[1] * y).clamp(-0.4, 0.4)
    turn = 3.2 * normal[2]
    along = x * turn.cos() + y * turn.sin() + 0.4 * normal[3]
    edge = torch.tanh(along / draws.uniform(0.12, 0.6, count, 1, 1, 1))
    depth = draws.uniform(-0.35, 0.35, count, 1, 1, 1) * (normal[4] < 0)
    gain = (strength * (0.14 * normal[5] + slope + depth * edge)).exp().to(lab.device)
    top = (functional.avg_pool2d(lab[:, :1], 4) * gain).amax((2, 3), keepdim=True)
    gain = gain * (0.98 / top.clamp(min=0.1)).clamp(max=1.0)
    gain = functional.interpolate(gain, scale_factor=4.0, mode="bilinear", align_corners=False)
    tint = (strength * 0.02 * draws.randn(count, 2, 1, 1)).to(lab.device)
    richer = (strength * 0.15 * normal[6]).exp().to(lab.device)
    light = lab[:, :1] * gain
    return torch.cat([light, lab[:, 1:] * gain * richer + tint * light], 1)
