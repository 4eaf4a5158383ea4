"""Section `convert` of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likeness.contracts.strict import Section


class ConvertParams(Section):
    """`convert:` of params.yaml."""

    batch_images: int = Field(default=8, ge=1, le=1024, description="crops per call of the model")
    precision: Literal["bf16", "float32"] = Field(
        default="bf16", description="of the network's layers; families without any use float32"
    )
    mask: Literal["both", "family", "aligned"] = Field(
        default="both", description="the model's mask, that of align, or where the two agree"
    )
    jpeg_quality: int = Field(default=95, ge=50, le=100, description="of the swapped crops, 4:4:4")
