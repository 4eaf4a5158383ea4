"""Section `retrieval` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class RetrievalParams(Section):
    """Section `retrieval` of params.yaml."""

    gallery_faces: int | None = Field(
        default=None, ge=1, description="of each identity, evenly spaced; null: all of them"
    )
