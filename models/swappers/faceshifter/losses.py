"""Losses of subject-agnostic families between what was drawn and whom it should show."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def identity_distance(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean of 1 - cosine of unit embeddings (B,D): 0 the same, 2 opposite."""
    return (1 - (drawn.float() * wanted.float()).sum(dim=1)).mean()


def attribute_distance(drawn: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Half the sum over levels of the mean squared difference (FaceShifter's L_att).

    The implementations take the mean of each level's map where the paper writes a norm: with it,
    a weight of 10 means the same at every size.
    """
    levels = zip(drawn, wanted, strict=True)
    return torch.stack([(a.float() - b.float()).square().mean() for a, b in levels]).sum() / 2


def paired_squares(drawn: Tensor, wanted: Tensor, same: Tensor) -> Tensor:
    """Half the mean squared difference of (B,3,S,S), over the rows that `same` (B,) counts.

    FaceShifter's L_rec, which only pairs of one identity have; 0 where there is none.
    """
    apart = (drawn.float() - wanted.float()).square().mean(dim=(1, 2, 3))
    return (apart * same).sum() / same.sum().clamp(min=1) / 2
