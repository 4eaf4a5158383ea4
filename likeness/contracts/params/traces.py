"""Section `traces` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class TracesParams(Section):
    """`traces:` of params.yaml."""

    max_faces: int = Field(default=240, ge=1, description="per swap, evenly spaced over the clip")
