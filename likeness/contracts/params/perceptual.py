"""Section `perceptual` of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likeness.contracts.strict import Section


class PerceptualParams(Section):
    """Section `perceptual` of params.yaml."""

    network: Literal["embedded", "vgg19"] = Field(
        default="embedded", description="the pack's recogniser, or VGG-19 from `url`"
    )
    url: str | None = Field(default=None, description="of the weights: https, http or file")
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-fA-F]{64}$", description="of the file behind `url`"
    )
    input: Literal["imagenet", "symmetric"] = Field(
        default="imagenet",
        description="what VGG-19 was trained on: ImageNet's mean and deviation, or [-1,1]",
    )
    licence: str | None = Field(default=None, description="of the weights; stands with each model")
