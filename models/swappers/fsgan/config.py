"""Settings of FSGAN; the defaults are those of the paper and of its second version's code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from models.swappers.base import SwapperConfig
from models.swappers.fsgan.heatmaps import SIGMA

EPOCHS_HALVED = 10 * 20_000 * 2
"""Ten epochs of 20,000 pairs, in images: the paper's epochs, of the size in its code."""


class FsganConfig(SwapperConfig):
    """Settings of the family; the defaults are the published ones."""

    size_px: int = Field(default=256, ge=32, le=512, multiple_of=32, description="side of crops")
    coverage: float = Field(default=0.8, gt=0, le=1, description="share of align's crop seen")
    width: int = Field(default=128, ge=4, description="channels of Gr, Gc, Gb at the finest level")
    depth: int = Field(default=4, ge=2, le=5, description="their levels")
    blocks: int = Field(default=2, ge=0, le=9, description="residual blocks per level")
    segmentation_width: int = Field(default=64, ge=4, description="channels of Gs")
    critic_width: int = Field(default=64, ge=4, description="channels of the critics")
    critic_depth: int = Field(default=3, ge=1, le=6, description="their strided convolutions")
    critic_scales: int = Field(default=2, ge=1, le=4, description="scales they look at")
    heatmap_sigma: float = Field(
        default=SIGMA, gt=0, le=0.2, description="width of landmarks, share of the side"
    )
    steps: int = Field(default=3, ge=1, le=9, description="of the stepwise re-enactment; 1: none")
    reenactment_share: float = Field(default=1.0, ge=0, description="part of the budget for Gr")
    inpainting_share: float = Field(default=1.0, ge=0, description="part of the budget for Gc")
    blending_share: float = Field(default=1.0, ge=0, description="part of the budget for Gb")
    small_share: float = Field(
        default=24 / 74, ge=0, lt=1, description="share of each part spent at half the side"
    )
    segmentation_share: float = Field(
        default=1.0, ge=0, le=1, description="share of Gr's part in which Gs learns too"
    )
    perceptual_weight: float = Field(default=1.0, ge=0, description="of features in rec")
    perceptual_share: float = Field(
        default=1.0, gt=0, le=1, description="part of each batch whose features are compared"
    )
    pixel_weight: float = Field(default=0.1, ge=0, description="of pixels in rec")
    step_weight: float = Field(default=1.0, ge=0, description="of rec after all steps")
    segmentation_weight: float = Field(default=0.1, ge=0, description="of Gr's segmentation")
    adversarial_weight: float = Field(default=0.001, ge=0, description="for Gr and Gc; 0: none")
    blending_adversarial_weight: float = Field(default=0.1, ge=0, description="for Gb; 0: none")
    consistency_weight: float = Field(
        default=1.0, ge=0, description="Gs agrees with Gr: reached linearly from 0"
    )
    learning_rate: float = Field(default=1e-4, gt=0, description="at half the side, and of Gs")
    whole_rate: float = Field(default=0.4, gt=0, description="at the whole side, in that")
    halve_every: int = Field(
        default=EPOCHS_HALVED, ge=0, description="images after which each rate halves; 0: never"
    )
    critic_rate: float = Field(default=0.1, gt=0, description="of critics, in their generator's")
    target_mask: Literal["network", "aligned"] = Field(
        default="network", description="the target's face: by Gs, or the mask of align"
    )
    blend: Literal["network", "poisson"] = Field(
        default="network", description="in a swap: Gb, or the solution that it learns from"
    )

    @model_validator(mode="after")
    def _something_learns(self) -> FsganConfig:
        if not self.reenactment_share + self.inpainting_share + self.blending_share:
            raise ValueError("one of the shares of the budget must be above 0")
        return self
