"""Section `align` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section
from likeness.contracts.vocabulary import TemplateName


class AlignParams(Section):
    """Section `align` of params.yaml."""

    template: TemplateName = Field(default="ffhq_512", description="places of the five points")
    size_px: int = Field(default=256, ge=32, le=2048, description="side of a crop")
    mask_size_px: int = Field(default=128, ge=16, le=2048, description="side of a mask")
    jpeg_quality: int = Field(default=90, ge=50, le=100, description="of the crops, 4:4:4")
    forehead: float = Field(
        default=0.0, ge=0.0, le=0.5, description="mask above the mesh, in face heights"
    )
    person: bool = Field(default=True, description="meet the mask with the person segmenter's")
    max_mesh_error: float | None = Field(
        default=0.2,
        gt=0.0,
        description="mesh to five points, in eye distances, up to which a face is taken; null: all",
    )
    smooth: bool = Field(default=False, description="One-Euro filter on landmarks along a track")
    smooth_cutoff_hz: float = Field(default=3.0, gt=0.0, description="its cut-off at rest")
    smooth_beta: float = Field(
        default=20.0, ge=0.0, description="its growth in Hz per face width per second"
    )
