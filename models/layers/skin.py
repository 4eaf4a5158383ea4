"""What of a face's picture is the face, and what hair, glasses or background at its edge."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.gaussian_blur import blur, widen
from models.layers.uv_texture import smoothstep

GRID = 128
"""Side of the coarse picture in which hair is followed from the edge inwards."""
GROWTH = 24
"""How many of its pixels hair may reach into the face."""
DEEPEST = 0.75
"""And how far, as `inner`: brows begin about there, and may touch the hair."""


def skin(lightness: Tensor, inner: Tensor, features: Tensor, margin: float) -> Tensor:
    """How far each pixel is the face itself and not hair or background at its edge.

    The lightness of skin is a plane over the face, fitted on its core. What is much darker or
    lighter and is joined to the edge of the face is hair, a frame of glasses or background;
    brows, eyes and lips differ from skin as well, but are not joined to the edge.

    Args:
        lightness: (B,1,S,S) in [0,1].
        inner: (B,1,S,S): 0 at the edge of the face, 1 well inside, negative beside it.
        features: (B,1,S,S), 1 on brows, eyes and lips, which say nothing about skin.
        margin: how much skin beside hair is given up, share of the side.

    Returns:
        (B,1,S,S) in [0,1], soft, 0 beside the face.
    """
    side = lightness.shape[-1]
    # 1. How unlike skin: lightness over that of the plane, 1 where darker than 0.62 or lighter
    # than 1.6 of it.
    smooth = blur(lightness, side / 170)
    core = smoothstep(inner, 0.6, 1.0) * (1 - features).clamp(0, 1)
    ratio = smooth / plane(smooth, core).clamp(min=0.1)
    unlike = 1 - smoothstep(ratio, 0.62, 0.82) * (1 - smoothstep(ratio, 1.35, 1.6))
    unlike = torch.where(inner >= 0, unlike, 0.0)
    # 2. What of it is joined to the edge: grown px by px from the edge, only where unlike.
    step = max(1, side // GRID)
    coarse = smoothstep(functional.avg_pool2d(unlike, step), 0.4, 0.8)
    open_to = functional.avg_pool2d((inner < DEEPEST).float(), step) * coarse
    joined = coarse * functional.avg_pool2d((inner < 0.15).float(), step)
    for _ in range(GROWTH):
        joined = torch.minimum(widen(joined, 1), open_to)
    foreign = unlike * functional.interpolate(widen(joined, 1), size=(side, side), mode="bilinear")
    # 3. A margin around it, and soft. Brows stand close to hair: only a narrow margin is taken
    # from them.
    full, narrow = (widen(foreign, max(1, round(share * side))) for share in (margin, margin / 3))
    foreign = full + smoothstep(features, 0.2, 0.6) * (narrow - full)
    foreign = smoothstep(foreign, 0.05, 0.4)
    return smoothstep(1 - blur(foreign, side / 128), 0.3, 1.0) * (inner >= 0)


def plane(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted least-squares plane through each picture: all (B,1,S,S)."""
    axis = torch.linspace(-1, 1, values.shape[-1], device=values.device)
    down, right = torch.meshgrid(axis, axis, indexing="ij")
    terms = torch.stack([torch.ones_like(right), right, down], -1).reshape(-1, 3)
    # Normal equations T' W T x = T' W v, with a trace of ridge where nothing has weight.
    weighted = (weight.flatten(1)[..., None] * terms).transpose(1, 2)
    square = weighted @ terms + 1e-3 * torch.eye(3, device=values.device)
    found = torch.linalg.solve(square, weighted @ values.flatten(1)[..., None])
    return (terms @ found).reshape(values.shape)
