"""Differences between two pictures as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def perceptual(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean over feature maps of their relative mean absolute difference, in float32.

    Of each map |F(x) - F(y)|_1 / (C H W), as in FSGAN (Nirkin et al. 2019, equation 4), divided by
    |F(y)|_1 / (C H W) over the batch: maps of different networks and depths count alike. 0 for
    equal pictures, about 1 for unrelated ones.

    Args:
        features: maps (B,C,H,W) of the picture that is judged.
        wanted: the same maps of the picture it should be; they receive no gradient.
    """
    apart = []
    for seen, known in zip(features, wanted, strict=True):
        real = known.detach().float()
        apart.append((seen.float() - real).abs().mean() / real.abs().mean().clamp(min=1e-6))
    return torch.stack(apart).mean()
