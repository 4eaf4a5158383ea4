"""What FaceShifter's second stage is trained on (Li et al. 2019, arXiv 1912.13457, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.layers import random_numbers
from models.swappers.faceshifter.occluders import occlude

Batch = dict[str, Tensor]
Drawing = Callable[[Tensor, Tensor], tuple[Tensor, list[Tensor]]]
"""The first stage: targets (B,3,S,S), identities (B,D) -> pictures, attribute maps."""
Recognising = Callable[[Batch], Tensor]
"""Crops with their landmarks -> unit identities (B,D)."""
OCCLUDED = 0.9
"""Share of targets that something is drawn on."""


class Covered(NamedTuple):
    """A batch for HEAR-Net.

    Attributes:
        crop: (B,3,S,S) targets, most of them with something in front of the face.
        identity: (B,D) whom to show.
        first: (B,3,S,S) the first stage's result.
        error: (B,3,S,S) what the first stage misses of the target itself.
        same: (B,) 1 where a target is shown with its own identity.
    """

    crop: Tensor
    identity: Tensor
    first: Tensor
    error: Tensor
    same: Tensor


@torch.no_grad()
def error(draw: Drawing, crop: Tensor, own: Tensor) -> Tensor:
    """(B,3,S,S): targets less what the first stage makes of them with their own identities."""
    return crop - draw(crop, own)[0]


def own_faces(given: Tensor, known: float, wanted: float) -> Tensor:
    """Targets (B,) bool that get their own identity, so that `wanted` of all do.

    Args:
        given: (B,) 1 where the sampler's pair is of one identity anyway.
        known: share of such pairs.
        wanted: share of all.
    """
    lacking = max(0.0, (wanted - known) / max(1 - known, 1e-6))
    return (random_numbers.rand(len(given)) < lacking).to(given.device)


@torch.no_grad()
def cover(
    networks: tuple[Drawing, Recognising], sides: tuple[Batch, Batch], shares: tuple[float, float]
) -> Covered:
    """Cover targets and draw them by the first stage.

    Args:
        networks: first stage and recogniser.
        sides: source and target.
        shares: of pairs of one identity, as the sampler brings them and as they are wanted.
    """
    (draw, recognise), (source, target) = networks, sides
    covered, _ = occlude(target["crop"], OCCLUDED)
    own = recognise({**target, "crop": covered})
    chosen = own_faces(target["same"], *shares)
    identity = torch.where(chosen[:, None], own, recognise(source))
    first, _ = draw(covered, identity)
    same = torch.maximum(chosen.float(), target["same"])
    return Covered(covered, identity, first, error(draw, covered, own), same)
