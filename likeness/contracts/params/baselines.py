"""Section `baselines` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class BaselinesParams(Section):
    """`baselines:` of params.yaml."""

    frames: int = Field(default=52, ge=3, le=2000, description="evenly spaced; FID needs 50")
    runs: int = Field(
        default=4, ge=1, le=100, description="of three frames in a row, measured as the swap is"
    )
