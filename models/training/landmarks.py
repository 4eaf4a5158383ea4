"""Landmarks of augmented crops: where they move, and what they are called in a mirror."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from models.layers.mesh_topology import mirrored
from models.training.augment import Draw, move_points, relabel

PARTNERS = {"landmarks_5": torch.tensor([1, 0, 2, 4, 3]), "landmarks_468": mirrored()}
"""Index of each point's mirror image."""


@cache
@torch.inference_mode(mode=False)  # what is kept serves training, too
def partners(name: str, device: torch.device) -> Tensor:
    """`PARTNERS` of a column on a device, copied there once."""
    return PARTNERS[name].to(device)


def move_landmarks(
    points: dict[str, Tensor], numbers: Draw, coverage: float, aligned_px: int, size_px: int
) -> dict[str, Tensor]:
    """Landmarks by column, (N,K,2 or 3) in px of align's crops -> the same of the wanted crops."""
    found = {}
    for name, here in points.items():
        moved = move_points(here, numbers, coverage, aligned_px, size_px)
        found[name] = relabel(moved, numbers, partners(name, here.device))
    return found
