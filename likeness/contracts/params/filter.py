"""Section `filter` of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likeness.contracts.strict import Section


class FilterParams(Section):
    """Section `filter` of params.yaml."""

    threshold: float | None = Field(
        default=None, ge=-1.0, le=1.0, description="cosine to the gallery; null: the pack's own"
    )
    best: int = Field(default=3, ge=1, description="references whose mean cosine counts")
    gallery_size: int = Field(default=16, ge=1, description="samples of a dominant track")
    min_size_px: float = Field(default=32.0, ge=0.0, description="shorter side of the box")
    min_det_score: float = Field(default=0.6, ge=0.0, le=1.0, description="of the detector")
    min_sharpness: float = Field(
        default=0.0, ge=0.0, description="variance of the Laplacian at 112 px; 0 keeps all"
    )
    copies: Literal["one", "all"] = Field(
        default="one",
        description="of a person who is seen twice in a frame (a mirror): one of them, the same "
        "for a whole shot, or all",
    )
