"""Settings of the shared encoder and its decoders; the defaults are the founding ones."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.layers.resampling import Upsampling
from models.swappers.base import SwapperConfig


class AutoencoderConfig(SwapperConfig):
    """Settings of the family; the defaults are the founding ones."""

    size_px: int = Field(default=64, ge=32, le=512, multiple_of=16, description="side of the crops")
    width: int = Field(default=128, ge=4, description="channels after the first convolution")
    code: int | None = Field(
        default=None, ge=4, description="channels of the code; None: 8 x width, conv1x1: width"
    )
    bottleneck: Literal["dense", "conv1x1"] = Field(
        default="dense", description="dense: the code is one vector; conv1x1: it keeps its place"
    )
    upsampling: Upsampling = Field(default="pixel_shuffle", description="how the picture grows")
    loss: Literal["l1", "ssim_l1"] = Field(default="l1", description="ssim_l1 adds (1 - SSIM) / 2")
    mask_weight: float = Field(
        default=0.0, ge=0, le=1, description="share of the loss that counts the face's mask alone"
    )
    learning_rate: float = Field(
        default=5e-5, gt=0, description="step size of Adam for the decoders"
    )
    encoder_rate: float = Field(
        default=2.0, gt=0, description="step size of the encoder, in that of the decoders"
    )
    coverage: float = Field(
        default=160 / 256, gt=0, le=1, description="share of align's crop that is swapped, centred"
    )
    colour_shift: bool = Field(
        default=True, description="give the source's crops the channel means of the target's"
    )
    border: float = Field(
        default=0.1, ge=0, le=0.5, description="soft edge of the mask, share of the side"
    )
