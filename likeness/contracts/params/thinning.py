"""Keys of all sections that choose among nearly the same faces."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class Thinning(Section):
    """Of faces nearer to each other than this, one is kept; faces that cannot be placed are not."""

    thin_pose_deg: float = Field(
        default=1.0, ge=0.0, description="nearness in yaw and pitch; 0 keeps all"
    )
    thin_expression: float = Field(
        default=0.003, ge=0.0, description="nearness of expressions in eye distances; 0 keeps all"
    )
    max_mesh_error: float | None = Field(
        default=0.25, gt=0.0, description="mesh to five points, in eye distances; null keeps all"
    )
