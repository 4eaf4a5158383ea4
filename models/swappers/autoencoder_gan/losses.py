"""What the GAN autoencoder's drawings lose, side by side with what they should be.

Weights and terms of faceswap-GAN v2.2 (networks/losses.py there); pictures are in [-1,1].
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from models.layers.feature_network import FeatureNetwork
from models.losses.perceptual import standardised_squares
from models.swappers.autoencoder_gan.config import AutoencoderGanConfig
from models.swappers.autoencoder_gan.edges import edge_distance, total_variation
from models.swappers.autoencoder_gan.eye_boxes import eye_boxes
from models.swappers.autoencoder_gan.mixup import draw_share, mixed
from models.swappers.autoencoder_gan.networks import Drawn, decayed

Losses = dict[str, Tensor]


class Lesson(NamedTuple):
    """One side's part of a batch.

    Attributes:
        side: whose.
        shown: (B,3,S,S) in [-1,1], what the encoder sees.
        wanted: what the decoder should draw.
        landmarks_5: (B,5,2) in px of `wanted`.
        drawn: what the decoder drew.
    """

    side: str
    shown: Tensor
    wanted: Tensor
    landmarks_5: Tensor
    drawn: Drawn

    @property
    def result(self) -> Tensor:
        """(B,3,S,S): the face laid over what the encoder sees."""
        return self.drawn.over(self.shown)


def pixels(lesson: Lesson, given: AutoencoderGanConfig) -> Losses:
    """Differences at every size that is drawn, differences of edges, and both at the eyes."""
    colour, wanted = lesson.drawn.colour, lesson.wanted
    apart = (colour - wanted).abs()
    total = apart.mean()
    for small in lesson.drawn.smaller:
        total = total + (small - resized(wanted, small.shape[-1])).abs().mean()
    boxes = eye_boxes(lesson.landmarks_5, given.size_px)
    at_eyes = (apart * boxes).mean() + edge_distance(colour, wanted, boxes)
    return {
        "reconstruction": given.reconstruction * total,
        "edge": given.edge * edge_distance(colour, wanted),
        "eyes": given.eyes * at_eyes,
    }


def masks(alpha: Tensor, given: AutoencoderGanConfig, share: float) -> Losses:
    """Masks are small, or above a margin, as the schedule has it; and even.

    Args:
        alpha: (B,1,S,S) in [0,1].
        given: weights and schedule.
        share: of the budget that is spent.
    """
    margin = given.margin(share)
    if margin is None:
        size = given.mask * alpha.mean()
    else:
        size = given.hinge * functional.relu(margin - alpha).mean()
    return {"mask": size, "variation": given.variation * total_variation(alpha)}


def features(lessons: list[Lesson], network: FeatureNetwork, given: AutoencoderGanConfig) -> Tensor:
    """Features of both sides, of mixtures of face and result: one pass judges both."""
    some = slice(math.ceil(given.perceptual_share * len(lessons[0].wanted)))
    share = draw_share(lessons[0].wanted.device)
    wanted = torch.cat([lesson.wanted[some] for lesson in lessons])
    five = torch.cat([lesson.landmarks_5[some] for lesson in lessons])
    drawn = torch.cat([mixed(one.drawn.colour, one.result, share)[some] for one in lessons])
    with torch.no_grad():
        known = network.features(wanted, five)
    seen = network.features(drawn, five)
    # Each side has a loss of its own: a mean over both would count half.
    return len(lessons) * standardised_squares(seen, known, given.perceptual)


class SumOfSquares(Function):
    """Sum of the squares of a tensor, whose gradient takes one pass over it.

    With torch's own functions it takes three, a sixth of a step at the default sizes.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        """Any shape -> ()."""
        ctx.save_for_backward(weight)
        return torch.linalg.vector_norm(weight).square()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """2 * weight * gradient."""
        (weight,) = ctx.saved_tensors
        found: Tensor = weight * (2 * grads[0])
        return found


def squares(network: nn.Module) -> Tensor:
    """Sum of the squares of all kernels that decay."""
    found = [SumOfSquares.apply(w) for w in decayed(network)]  # type: ignore[no-untyped-call]  # torch's
    return torch.stack(found).sum()


def resized(image: Tensor, side_px: int) -> Tensor:
    """(B,3,S,S) -> (B,3,side,side), bilinear without antialiasing, as TensorFlow 1 does it."""
    size = (side_px, side_px)
    return functional.interpolate(image, size, mode="bilinear", align_corners=False)
