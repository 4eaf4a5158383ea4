"""Section `detect` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class DetectParams(Section):
    """Section `detect` of params.yaml."""

    detect_every_frames: int = Field(
        default=8, ge=1, description="frames between two scans of the whole frame; 1: every frame"
    )
    min_det_score: float = Field(
        default=0.4,
        gt=0.0,
        le=1.0,
        description="score from which a detection is listed; a margin below the customary 0.5, so "
        "that faces near it do not flicker",
    )
    embed_every_frames: int = Field(
        default=4, ge=1, description="frames between two measured embeddings of a face, at most"
    )
