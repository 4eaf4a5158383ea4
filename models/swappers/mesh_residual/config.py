"""Settings of the views on the mesh that a network redraws."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.swappers.base import SwapperConfig


class MeshResidualConfig(SwapperConfig):
    """Settings of the family."""

    size_px: int = Field(default=256, ge=64, le=1024, multiple_of=64, description="side of crops")
    blend: int = Field(default=2, ge=1, le=4, description="views blended per half of the face")
    bank: int = Field(default=64, ge=1, le=512, description="views kept at most")
    mirror: bool = Field(default=True, description="use mirrored views for what is not seen")
    shape: float = Field(
        default=0.7, ge=0, le=1, description="share of the source's proportions in the inner face"
    )
    light_reach: float = Field(
        default=0.12, gt=0, le=1, description="size of what counts as light, share of the side"
    )
    eyes: Literal["target", "source"] = Field(
        default="source", description="whose eyeballs; the source's are drawn with target's gaze"
    )
    mouth: Literal["target", "source"] = Field(
        default="source", description="whose teeth and tongue; the target's opening in any case"
    )
    width: int = Field(default=96, ge=3, le=512, multiple_of=3, description="channels of the trunk")
    identity: float = Field(
        default=0.03, ge=0, description="weight of the embedder's cosine on the target's crops"
    )
    anchor: float = Field(
        default=2.0, ge=0, description="weight of changes of skin on the target's crops"
    )
    light: float = Field(
        default=1.0, ge=0, le=1, description="lessons: strength of the other light, drawn by chance"
    )
    holes: float = Field(
        default=0.35, ge=0, le=1, description="lessons: share with one side of the face unknown"
    )
    learning_rate: float = Field(default=4e-4, gt=0, description="of Adam, after the warm-up")
    forehead_cm: float = Field(default=1.2, ge=0.1, le=3, description="texture above the mesh")
    rim_cm: float = Field(default=0.4, ge=0.1, le=2, description="texture beside the mesh")
    min_similarity: float = Field(
        default=0.6, ge=-1, le=1, description="views: least cosine to the source's gallery"
    )
    max_mesh_error: float = Field(
        default=0.13, gt=0, description="views: most distance of the mesh, in eye distances"
    )
    max_foreign: float = Field(
        default=0.05, gt=0, le=1, description="views: most of the face that looks unlike itself"
    )
    min_sharpness: float = Field(
        default=0.5, ge=0, description="views: least sharpness, relative to the median"
    )
