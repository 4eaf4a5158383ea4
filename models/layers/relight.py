"""The target's light and colour on a texture that keeps its own detail."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.layers.gaussian_blur import blur, masked_blur

DETAIL_PX = 1.5
SKIN_PX = 6.0
"""Chroma of lips and of skin is smoothed by this much (at 256 px): eyes see it coarsely."""


class Coarse(NamedTuple):
    """Coarse lightness and chroma of texture and target, (B,3,H,W) in Oklab each."""

    texture: Tensor
    target: Tensor


def coarse(texture: Tensor, target: Tensor, mask: Tensor, inner: Tensor, reach_px: float) -> Coarse:
    """Texture and target after a wide Gaussian; a narrow one towards the edge of the face.

    The narrow one makes the border fit the skin beside it; the wide one keeps stubble and the
    like from counting as light.

    Args:
        texture: (B,3,H,W) in Oklab.
        target: (B,3,H,W) in Oklab, the target's face in the same place.
        mask: (B,1,H,W), how far each pixel counts as skin of both.
        inner: (B,1,H,W), 0 at the edge of the face, 1 inside.
        reach_px: deviation of the wide Gaussian; the narrow one is a quarter of it.
    """
    both = torch.cat([texture, target], 1)
    wide, narrow = masked_blur(both, mask, reach_px), masked_blur(both, mask, reach_px / 4)
    return Coarse(*torch.split(narrow + inner * (wide - narrow), 3, 1))


def relight(texture: Tensor, light: Coarse) -> Tensor:
    """Scale lightness and move chroma by what texture and target differ in coarsely.

    On a target of less colour the texture's own differences of chroma shrink alike: moved as
    they are they would turn brows blue.
    """
    gain = light.target[:, :1] / light.texture[:, :1].clamp(min=0.05)
    paler = (_chroma(light.target) / _chroma(light.texture).clamp(min=1e-3)).clamp(max=1.0)
    moved = light.target[:, 1:] + paler * (texture[:, 1:] - light.texture[:, 1:])
    return torch.cat([texture[:, :1] * gain.clamp(0.5, 2.0), moved], 1)


def _chroma(picture: Tensor) -> Tensor:
    """Length (B,1,H,W) of the chroma of (B,3,H,W) in Oklab."""
    # torch.linalg.vector_norm over two planes takes a hundred times as long on a CPU.
    return picture[:, 1:].square().sum(1, keepdim=True).sqrt()


def take_chroma(texture: Tensor, target: Tensor, mask: Tensor, detail: Tensor) -> Tensor:
    """Give a texture without colour the target's, at its own lightness.

    Skin takes its chroma from the target's skin around, so that spots and single hairs stay
    behind; where `detail` (B,1,H,W) is 1, the lips, from the place itself. The ratio of chroma to
    lightness is kept within limits: a darker spot is no more colourful.
    """
    pixel = target.shape[-1] / 256
    close = blur(target, DETAIL_PX * pixel)
    wanted = masked_blur(target, mask, SKIN_PX * pixel)
    wanted = wanted + detail * (close - wanted)
    ratio = (texture[:, :1] / wanted[:, :1].clamp(min=0.05)).clamp(0.6, 1.15)
    return torch.cat([texture[:, :1], wanted[:, 1:] * ratio], 1)


def colourfulness(pictures: Tensor, mask: Tensor) -> Tensor:
    """Spread of chroma that lightness does not explain, in Oklab units; a tint has next to none.

    Args:
        pictures: (B,3,H,W) in Oklab.
        mask: bool (B,1,H,W), the skin.
    """
    pixels = pictures.permute(0, 2, 3, 1)[mask[:, 0]]
    if len(pixels) < 4:
        return torch.ones(())
    light = pixels[:, :1]
    terms = torch.cat([torch.ones_like(light), light, light.square()], 1)
    # Normal equations with a trace of ridge: one flat colour must not make them singular.
    square = terms.T @ terms + 1e-6 * len(pixels) * torch.eye(3)
    explained = terms @ torch.linalg.solve(square, terms.T @ pixels[:, 1:])
    return (pixels[:, 1:] - explained).square().sum(1).mean().sqrt()
