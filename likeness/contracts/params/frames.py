"""Section `frames` of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likeness.contracts.strict import Section


class FramesParams(Section):
    """Section `frames` of params.yaml."""

    shot_threshold: float = Field(
        default=0.12, gt=0, le=1, description="change of content (0-1) from which a shot begins"
    )
    duplicate_hash_bits: int = Field(
        default=2, ge=0, le=64, description="most bits by which the hash of a repeat may differ"
    )
    duplicate_levels: int = Field(
        default=2,
        ge=0,
        le=255,
        description="most luma levels by which any block of a few px of a repeat may differ",
    )
    damage: Literal["continue", "refuse"] = Field(
        default="continue",
        description="frames that are missing or cannot be decoded: counted, or an error",
    )
