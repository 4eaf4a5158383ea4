"""Section `probes` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class ProbesParams(Section):
    """Section `probes` of params.yaml."""

    frames: int = Field(default=10, ge=1, le=1000, description="evenly spaced")
