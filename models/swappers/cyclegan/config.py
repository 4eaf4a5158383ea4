"""Settings of CycleGAN; the defaults are the paper's."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from models.swappers.base import SwapperConfig

LEAST_MAP_PX = 4
"""Side that the critics' halvings must leave: the last norm sees one pixel less, a verdict two."""


class CycleGanConfig(SwapperConfig):
    """Settings of the family; the defaults are the paper's."""

    size_px: int = Field(default=256, ge=32, le=512, multiple_of=16, description="side of crops")
    width: int = Field(default=64, ge=4, description="generators: first convolution's channels")
    blocks: int | None = Field(
        default=None, ge=1, le=16, description="residual blocks; None: 9 from 256 px, 6 below"
    )
    critic_width: int = Field(default=64, ge=4, description="critics: first convolution's channels")
    critic_depth: int = Field(
        default=3, ge=1, le=5, description="halvings; 3 judges patches of 70x70 px, 2 of 34x34"
    )
    cycle: float = Field(default=10.0, ge=0, description="weight: there and back is the same")
    identity: float = Field(
        default=0.5, ge=0, description="share of `cycle`: who is there already stays as he is"
    )
    pool: int = Field(default=50, ge=0, description="earlier pictures per side for the critics")
    learning_rate: float = Field(default=2e-4, gt=0, description="step size of Adam, all networks")
    constant_share: float = Field(
        default=0.5, ge=0, le=1, description="of the budget, after which the step size falls to 0"
    )
    coverage: float = Field(
        default=160 / 256, gt=0, le=1, description="share of align's crop that is swapped, centred"
    )
    border: float = Field(
        default=0.1, ge=0, le=0.5, description="soft edge of the mask, share of the side"
    )

    @model_validator(mode="after")
    def _critics_fit(self) -> Self:
        if self.size_px // 2**self.critic_depth < LEAST_MAP_PX:
            raise ValueError(f"critic_depth {self.critic_depth} is too deep for {self.size_px} px")
        return self
