"""What a lesson is: which crops teach, from which views they are drawn, what the outcome lacks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from models.layers import random_numbers as draws
from models.layers.gaussian_blur import widen
from models.layers.view_bank import nearest_weights
from models.losses.pixels import dssim
from models.swappers.mesh_residual.crispness import crispness
from models.swappers.mesh_residual.scene import Scene, scaled

SAME = 0.3
"""Features this near are those of one crop, or of its mirror image."""
TWIN = 0.35
"""A view this near to a lesson's crop is the crop itself, or its neighbour in time."""
FLIPPED = (0, 1, 3, 2, 4, 5, 6, 7)
"""Features of a mirror image: the eyes change places, and yaw its sign."""
BARRED = 1e4


def taught(features: Tensor, clean: Tensor) -> tuple[Tensor, float]:
    """Which crops teach: those of the clean ones, or their mirror images; hands teach nothing.

    Args:
        features: (B,8) of a batch, see `describe`.
        clean: (M,8) of the clean crops; where nobody said which they are, all teach.

    Returns:
        Indices (int64), at least one, and the share of the batch that teaches.
    """
    if not len(clean):
        return torch.arange(len(features), device=features.device), 1.0
    signs = torch.ones(8, device=features.device)
    signs[0] = -1
    either = torch.stack([features, features[:, FLIPPED] * signs])
    apart = torch.cdist(either, clean.expand(2, -1, -1)).amin((0, 2))
    found = (apart < SAME).nonzero()[:, 0]
    share = len(found) / len(features)
    return (found, share) if len(found) else (apart.argmin()[None], 0.0)


def others(distance: Tensor, gaps: Tensor, blend: int) -> Tensor:
    """Weights of views without the crop itself and what is nearer than use will have.

    How near is drawn from the gaps between the target's crops and their nearest views, so that a
    lesson lacks what use lacks.

    Args:
        distance: (B,2,N) from each crop to each view, upper and lower face.
        gaps: (T,2).
        blend: views that are mixed.

    Returns:
        (B,2,N), sum 1 over the views.
    """
    count = len(distance)
    chosen = gaps[draws.randint(len(gaps), (count,)).to(gaps.device)]
    reach = chosen * draws.rand(count, 2).to(gaps.device)
    barred = distance < reach.clamp(min=TWIN)[..., None]
    kept = min(blend + 1, distance.shape[2])
    barred &= distance < distance.topk(kept, dim=2).values[..., -1:]
    return nearest_weights(distance.masked_fill(barred, BARRED), blend)


def pace(seen: int, total: int) -> float:
    """Share of the learning rate: up over a thirtieth of the budget, then a cosine down to 0.02."""
    done = min(1.0, seen / total)
    return min(1.0, (done + 1e-4) * 30) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * done)))


def differences(scene: Scene, change: Tensor) -> dict[str, Tensor]:
    """What a changed guide (B,3,W,W) lacks of the crop, by name; see `MeshResidual.losses`."""
    drawn, wanted = scene.guide + change, scene.own
    rim, features = scene.marks[:, :1], scene.marks[:, 2:3].clamp(0, 1)
    weight = scene.face * (1 - rim).clamp(0, 1) * (1 + 2 * features)
    share = weight / weight.mean().clamp(min=0.02)
    apart = scaled(drawn) - scaled(wanted)
    steps = [
        (apart[:, :1].diff(dim=along).abs() * share.narrow(along, 1, share.shape[along] - 1)).mean()
        for along in (2, 3)
    ]
    light, truth = drawn[:, :1], wanted[:, :1]
    crisp = (crispness(light) - crispness(truth)).abs() * functional.avg_pool2d(share, 2)
    unseen = scene.covered * (1 - scene.face)
    return {
        "l1": (apart.abs() * share).mean(),
        "gradients": steps[0] + steps[1],
        "dssim": dssim(light.clamp(0, 1), truth.clamp(0, 1), weight + 1e-3),
        "crispness": 4 * crisp.mean(),
        "calm": 2 * (change.abs() * unseen).mean(),
    }


def skin_change(scene: Scene, change: Tensor) -> Tensor:
    """Mean change () of skin, without the neighbourhood of eyes, brows and lips."""
    px = scene.guide.shape[-1] / 208
    drawn = functional.avg_pool2d(scene.marks[:, 2:].amax(1, keepdim=True).clamp(0, 1), 4)
    near = widen(drawn, max(1, round(px)))
    near = functional.interpolate(near, scale_factor=4.0, mode="bilinear", align_corners=False)
    return (change.abs() * scene.covered * (1 - near)).mean()
