"""Settings of pix2pix; the defaults are the paper's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from models.swappers.base import SwapperConfig
from models.swappers.pix2pix.drawings import Drawing
from models.swappers.pix2pix.translation_unet import DROPOUT, Growth, Norm


class Pix2PixConfig(SwapperConfig):
    """Settings of the family; the defaults are the paper's."""

    size_px: int = Field(default=256, ge=32, le=512, description="side of crops, a power of two")
    coverage: float = Field(default=1.0, gt=0, le=1, description="share of align's crop seen")
    width: int = Field(default=64, ge=4, description="channels of the generator's first level")
    upsampling: Growth = Field(default="transpose", description="how the picture grows")
    norm: Norm = Field(
        default="batch", description="instance where a part of a batch is a single crop"
    )
    dropout: float = Field(default=DROPOUT, ge=0, lt=1, description="in training alone")
    critic_width: int = Field(default=64, ge=4, description="channels of its first convolution")
    drawing: Drawing = Field(default="polylines", description="what the generator is given")
    fit: Literal["none", "shape"] = Field(
        default="shape", description="shape: the driver's landmarks in the source's proportions"
    )
    l1_weight: float = Field(default=100.0, ge=0, description="of the mean difference in [-1,1]")
    adversarial_weight: float = Field(default=1.0, ge=0, description="of the critic; 0: none")
    learning_rate: float = Field(default=2e-4, gt=0, description="of generator and critic")
    border: float = Field(default=0.05, ge=0, le=0.5, description="soft edge, share of the side")

    @field_validator("size_px")
    @classmethod
    def _halves_to_one(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two: 32, 64, 128, 256 or 512")
        return value
