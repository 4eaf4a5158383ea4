"""Losses between segmentations, given as scores per class."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of scores (B,C,S,S) with classes (B,S,S) int64, in float32."""
    return functional.cross_entropy(scores.float(), labels)


def between(scores: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of the classes' probabilities, of two (B,C,S,S) in scores.

    FSGAN's pixel loss between two segmentations (Nirkin et al. 2019, equations 9 and 10). It counts
    probabilities, which are bounded, where the published code compares a hyperbolic tangent with
    raw scores. `wanted` receives no gradient.
    """
    return (scores.float().softmax(1) - wanted.detach().float().softmax(1)).abs().mean()
