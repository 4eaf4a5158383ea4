"""Settings of FaceShifter; the defaults are the paper's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.swappers.base import SwapperConfig


class FaceShifterConfig(SwapperConfig):
    """Settings of the family; the defaults are the paper's."""

    size_px: int = Field(default=256, ge=32, le=512, multiple_of=16, description="side of crops")
    width: float = Field(default=1.0, gt=0, le=4, description="factor of all channels")
    depth: int | None = Field(
        default=None, ge=2, le=9, description="halvings, one map less; None: down to 2 or 3 px"
    )
    coverage: float = Field(default=1.0, gt=0, le=1, description="share of align's crop, centred")
    identity_injection: Literal["aad", "adain"] = Field(
        default="aad", description="aad: FaceShifter's generator; adain: SimSwap's"
    )
    injection_blocks: int = Field(default=9, ge=1, description="adain: blocks in the middle")
    same: float = Field(default=0.2, ge=0, le=1, description="share of pairs of one identity")
    same_within: Literal["identity", "clip", "clips"] = Field(
        default="identity", description="such a pair: any crops, of one clip, of two clips"
    )
    adversarial: float = Field(default=1.0, ge=0, description="weight of the critic's verdict")
    attribute: float = Field(default=10.0, ge=0, description="aad: weight of the attributes")
    identity: float = Field(default=5.0, ge=0, description="weight of the identity")
    reconstruction: float = Field(default=10.0, ge=0, description="weight, pairs of one identity")
    feature_matching: float | None = Field(
        default=None, ge=0, description="SimSwap's weak one; None: 0 with aad, 10 with adain"
    )
    eyes: float = Field(default=0.0, ge=0, description="weight of the direction of gaze")
    learning_rate: float = Field(default=4e-4, gt=0, description="step size of Adam, all networks")
    critic_width: int = Field(default=64, ge=4, description="channels, times `width`")
    critic_depth: int | None = Field(
        default=None, ge=1, le=8, description="halvings in each critic; None: 6 at 256 px"
    )
    critic_scales: int = Field(default=3, ge=1, le=4, description="critics, each at half the side")
    hear: bool = Field(default=True, description="train HEAR-Net, and refine with it")
    hear_share: float = Field(
        default=0.1, gt=0, lt=1, description="last part of the budget, in which it trains"
    )
    hear_same: float = Field(default=0.5, ge=0, lt=1, description="its share of same pairs")
    border: float = Field(
        default=0.05, ge=0, le=0.5, description="soft edge of the mask, share of the side"
    )
