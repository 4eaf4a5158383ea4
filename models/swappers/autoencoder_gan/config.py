"""Settings of the GAN autoencoder; the defaults are those of faceswap-GAN v2.2's notebook."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from models.swappers.base import SwapperConfig

Schedule = tuple[tuple[float, float], ...]
Margins = tuple[tuple[float, float | None], ...]
MASK: Margins = (
    (0.0, None),
    (0.3, 0.5),
    (0.4, 0.2),
    (0.5, 0.4),
    (2 / 3, None),
    (0.8, 0.1),
    (0.9, None),
)
"""v2.2 over 40,000 iterations: masks shrink, are kept above a margin for a while, shrink again."""
RATE: Schedule = ((0.0, 1.0), (2 / 3, 0.3), (0.9, 0.1))


class AutoencoderGanConfig(SwapperConfig):
    """Settings of the family; the defaults are v2.2's."""

    size_px: Literal[64, 128, 256] = Field(default=64, description="side of the crops")
    width: int = Field(default=64, ge=4, description="channels after the first convolution")
    critic_width: int = Field(default=64, ge=4, description="channels of the critics, likewise")
    norm: Literal["whole", "channel", "none"] = Field(
        default="whole", description="a picture's map is normalised whole, by channel, or not"
    )
    attention_px: int = Field(
        default=64, ge=0, description="widest maps that attend to themselves; 0: none"
    )
    coverage: float = Field(default=160 / 256, gt=0, le=1, description="share of align's crop seen")
    adversarial: float = Field(default=0.1, ge=0, description="weight of the critics' verdicts")
    reconstruction: float = Field(default=1.0, ge=0, description="weight of the difference")
    eyes: float = Field(default=30.0, ge=0, description="weight of both differences there")
    edge: float = Field(default=0.1, ge=0, description="weight of the difference of edges")
    perceptual: tuple[float, ...] = Field(
        default=(0.01, 0.1, 0.3, 0.1), description="weights of feature maps, the coarsest first"
    )
    perceptual_from: float = Field(
        default=0.2, ge=0, le=1, description="share of the budget after which features count"
    )
    perceptual_share: float = Field(
        default=1.0, gt=0, le=1, description="part of each batch whose features are compared"
    )
    mask: float = Field(default=0.01, ge=0, description="weight of the mask, which shrinks by it")
    hinge: float = Field(default=0.1, ge=0, description="weight of what a mask lacks to its margin")
    mask_schedule: Margins = Field(
        default=MASK, description="from which share of the budget which margin; None: no hinge"
    )
    variation: float = Field(default=0.1, ge=0, description="weight of the mask's unevenness")
    decay: float = Field(default=1e-4, ge=0, description="weight of the kernels' squares")
    cycle: float = Field(default=0.0, ge=0, description="weight of there and back; v2.2's is 10")
    learning_rate: float = Field(default=1e-4, gt=0, description="step size of the decoders")
    encoder_rate: float = Field(
        default=2.0, gt=0, description="step size of the encoder, in that of the decoders"
    )
    critic_learning_rate: float = Field(default=2e-4, gt=0, description="step size of the critics")
    rate_schedule: Schedule = Field(
        default=RATE, description="from which share of the budget which factor of all step sizes"
    )
    colour_match: float = Field(
        default=0.5, ge=0, le=1, description="chance of a crop in another crop's colours"
    )
    motion_blur: float = Field(default=0.25, ge=0, le=1, description="chance of a blurred crop")
    swap_mask: Literal["learned", "whole"] = Field(
        default="learned", description="where a swap replaces: by the learned alpha, or everywhere"
    )
    border: float = Field(
        default=0.05, ge=0, le=0.5, description="soft edge of the mask, share of the side"
    )

    @model_validator(mode="after")
    def _schedules_ascend(self) -> AutoencoderGanConfig:
        for name in ("mask_schedule", "rate_schedule"):
            begins = [begin for begin, _ in getattr(self, name)]
            if not begins or begins[0] != 0 or any(a >= b for a, b in pairwise(begins)):
                raise ValueError(f"{name} must begin at 0 and ascend")
        return self

    def margin(self, share: float) -> float | None:
        """What masks are kept above after `share` of the budget; None: nothing."""
        return next(margin for begin, margin in reversed(self.mask_schedule) if begin <= share)

    def rate(self, share: float) -> float:
        """Factor of the step sizes after `share` of the budget."""
        return next(factor for begin, factor in reversed(self.rate_schedule) if begin <= share)
