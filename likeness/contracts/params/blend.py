"""Section `blend` of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likeness.contracts.strict import Section
from likeness.contracts.vocabulary import SoundCodec

LEAST_PX = 256
"""Side below which a film has no room for the words that say what it is."""


class BlendParams(Section):
    """`blend:` of params.yaml."""

    mode: Literal["feather", "poisson", "crop"] = Field(
        default="feather",
        description="soft edge; gradients kept and levels taken from around; the whole crop alone",
    )
    crop_px: int | None = Field(
        default=None,
        ge=LEAST_PX,
        le=2048,
        multiple_of=2,
        description="crop: side of the film; null: the family's crops, enlarged to 256 px",
    )
    erode: float = Field(
        default=0.0, ge=0, le=0.3, description="the mask shrinks by this share of the crop's side"
    )
    feather: float = Field(
        default=0.045, ge=0, le=0.3, description="width of the soft edge, share of the crop's side"
    )
    colour: Literal["lab", "none"] = Field(
        default="lab", description="mean and deviation in Lab, from the target's face, or as it is"
    )
    colour_strength: float = Field(default=1.0, ge=0, le=1, description="0 none, 1 all the way")
    colour_memory: float = Field(
        default=0.8, ge=0, lt=1, description="share of earlier frames in a track's colours"
    )
    crf: int = Field(default=18, ge=0, le=51, description="x264 quality, lower is better")
    preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"
    ] = Field(default="veryfast", description="x264 speed against size")
    sound: SoundCodec = Field(
        default="aac", description="what sound becomes that MP4 cannot hold; other is copied"
    )
