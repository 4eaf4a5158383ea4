"""Differences between two pictures as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def perceptual(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Sum over feature maps of their mean absolute difference, in float32.

    Of each map |F(x) - F(y)|_1 / (C H W), as in FSGAN (Nirkin et al. 2019, equation 4), averaged
    over the batch.

    Args:
        features: maps (B,C,H,W) of the picture that is judged.
        wanted: the same maps of the picture it should be; they receive no gradient.
    """
    pairs = zip(features, wanted, strict=True)
    apart = [(seen.float() - known.detach().float()).abs().mean() for seen, known in pairs]
    return torch.stack(apart).sum()
