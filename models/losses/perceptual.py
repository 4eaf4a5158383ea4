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


def standardised_squares(
    features: Sequence[Tensor], wanted: Sequence[Tensor], weights: Sequence[float]
) -> Tensor:
    """Weighted sum of mean squared differences of standardised feature maps, in float32.

    Each picture's map is brought to mean 0 and deviation 1 as a whole, as faceswap-GAN does after
    MUNIT (Huang et al. 2018, arXiv 1804.04732): contrast and light count for less.

    Args:
        features: maps (B,C,H,W) of the picture that is judged, from fine to coarse.
        wanted: the same maps of the picture it should be; they receive no gradient.
        weights: of the maps, the coarsest first; finer ones than there are weights do not count.
    """
    total = features[0].new_zeros((), dtype=torch.float32)
    for seen, known, weight in zip(reversed(features), reversed(wanted), weights, strict=False):
        apart = _standardised(seen) - _standardised(known.detach())
        total = total + weight * apart.square().mean()
    return total


def _standardised(feature: Tensor) -> Tensor:
    flat = feature.float().flatten(1)
    variance, mean = torch.var_mean(flat, 1, keepdim=True, correction=0)
    return (flat - mean) * torch.rsqrt(variance + 1e-3)
