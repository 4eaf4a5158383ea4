"""Losses of generators and critics over verdicts at several scales; feature matching.

Every function takes the verdicts of `models.layers.patch_critics.MultiScale`, one map per scale,
and gives the mean over the scales, in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Verdicts = Sequence[Tensor]


def _mean(verdicts: Verdicts, of: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([of(verdict.float()).mean() for verdict in verdicts]).mean()


def hinge_critic(real: Verdicts, drawn: Verdicts) -> Tensor:
    """Half of max(0, 1 - real) + max(0, 1 + drawn) (Lim and Ye 2017, arXiv 1705.02894).

    1 where the critic cannot tell (all verdicts 0), 0 once every verdict is beyond the margin.
    """
    genuine = _mean(real, lambda verdict: functional.relu(1 - verdict))
    false = _mean(drawn, lambda verdict: functional.relu(1 + verdict))
    return (genuine + false) / 2


def hinge_generator(drawn: Verdicts) -> Tensor:
    """Minus the mean verdict on what the generator has drawn; below 0 where the critic errs."""
    return _mean(drawn, torch.neg)


def squares_critic(real: Verdicts, drawn: Verdicts) -> Tensor:
    """Half of (real - 1)^2 + drawn^2 (LSGAN, Mao et al. 2017, arXiv 1611.04076)."""
    genuine = _mean(real, lambda verdict: (verdict - 1).square())
    false = _mean(drawn, torch.square)
    return (genuine + false) / 2


def squares_generator(drawn: Verdicts) -> Tensor:
    """(drawn - 1)^2 (LSGAN)."""
    return _mean(drawn, lambda verdict: (verdict - 1).square())


def feature_matching(
    real: Sequence[Sequence[Tensor]], drawn: Sequence[Sequence[Tensor]], layers: int | None = None
) -> Tensor:
    """Mean absolute difference of the critics' features; the real ones receive no gradient.

    Args:
        real: per scale the features of each layer, the verdicts last (`MultiScale.features`).
        drawn: the same of the drawn pictures.
        layers: how many of the last layers before the verdicts count. None: all of them
            (pix2pixHD); SimSwap's weak feature matching leaves the first ones out, so that
            texture stays free and only structure has to agree (Chen et al. 2020, arXiv 2106.06340).
    """
    apart = []
    for known, made in zip(real, drawn, strict=True):
        begin = 0 if layers is None else max(len(known) - 1 - layers, 0)
        pairs = zip(known[begin:-1], made[begin:-1], strict=True)
        apart += [(m.float() - k.detach().float()).abs().mean() for k, m in pairs]
    return torch.stack(apart).mean()


def logistic_critic(real: Verdicts, drawn: Verdicts) -> Tensor:
    """Half of the cross entropies of real as 1 and drawn as 0 (Goodfellow et al. 2014).

    Verdicts are logits. Halved as pix2pix does, so that the critic learns at half the
    generator's pace; log 2 where it cannot tell.
    """
    genuine = _mean(real, lambda verdict: functional.softplus(-verdict))
    false = _mean(drawn, functional.softplus)
    return (genuine + false) / 2


def logistic_generator(drawn: Verdicts) -> Tensor:
    """Cross entropy of drawn as 1: the non-saturating form; log 2 where the critic cannot tell."""
    return _mean(drawn, lambda verdict: functional.softplus(-verdict))
