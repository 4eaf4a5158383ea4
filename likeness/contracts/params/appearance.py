"""Section `appearance` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class AppearanceParams(Section):
    """Section `appearance` of params.yaml."""

    radius_deg: float = Field(
        default=2.0, gt=0.0, le=45.0, description="views nearer than this count as one"
    )
    corner_deg: float = Field(
        default=75.0,
        ge=1.0,
        le=90.0,
        description="yaw and pitch of the empty corners, +-",
    )
    thumbnail_px: int = Field(default=88, ge=16, le=512, description="side of a face in map.jpg")
