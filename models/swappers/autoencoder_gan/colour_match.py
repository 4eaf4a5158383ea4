"""Some pictures of a batch in the colours of others, so that light says little of who it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.layers import random_numbers

SEEN = 0.75
"""Share of a crop, centred, whose colours count.

faceswap-GAN leaves 60 of 256 px out on each side of pictures of which its crops show 160 to 200.
"""
EVEN = 1e-7


class Recolouring(NamedTuple):
    """colour * factor + offset, per picture and channel.

    Attributes:
        factor: (B,3,1,1).
        offset: (B,3,1,1).
    """

    factor: Tensor
    offset: Tensor

    def apply(self, image: Tensor) -> Tensor:
        """Recolour (B,3,S,S) in [-1,1]."""
        return (image * self.factor + self.offset).clamp(-1, 1)


def moments(crop: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (B,3,1,1) of the middle of (B,3,S,S)."""
    side = crop.shape[-1]
    edge = round(side * (1 - SEEN) / 2)
    middle = crop.float()[..., edge : side - edge, edge : side - edge]
    variance, mean = torch.var_mean(middle, (2, 3), keepdim=True, correction=0)
    return mean, variance.sqrt()


def match(crop: Tensor, other: Tensor) -> Recolouring:
    """What gives the middle of each `crop` the mean and deviation of its `other`, per channel.

    Where the result leaves [-1,1], the whole picture is moved up from below and shrunk from
    above, as faceswap-GAN does; a channel without variation keeps its colours.
    """
    (mean, deviation), (wanted_mean, wanted) = moments(crop), moments(other)
    factor = torch.where(deviation > EVEN, wanted / deviation.clamp(min=EVEN), 1.0)
    offset = torch.where(deviation > EVEN, wanted_mean - mean * factor, 0.0)
    drawn = crop.float() * factor + offset
    lowest = drawn.amin((1, 2, 3), keepdim=True)
    offset = offset - (lowest + 1).clamp(max=0)
    highest = drawn.amax((1, 2, 3), keepdim=True) - (lowest + 1).clamp(max=0)
    shrink = 2 / (highest + 1).clamp(min=2)
    return Recolouring(factor * shrink, (offset + 1) * shrink - 1)


def random_match(crop: Tensor, others: Tensor, chance: float) -> Recolouring:
    """With this chance the colours of a random one of `others` (N,3,S,S), else a picture's own."""
    count, device = len(crop), crop.device
    chosen = (random_numbers.rand(count) < chance).to(device, non_blocking=True)
    chosen = chosen[:, None, None, None]
    index = random_numbers.randint(len(others), (count,)).to(device, non_blocking=True)
    found = match(crop, others[index])
    one, none = torch.ones_like(found.factor), torch.zeros_like(found.offset)
    return Recolouring(
        torch.where(chosen, found.factor, one), torch.where(chosen, found.offset, none)
    )
