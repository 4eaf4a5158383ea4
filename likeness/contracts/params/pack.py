"""Section `pack` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class PackParams(Section):
    """Section `pack` of params.yaml."""

    name: str = Field(
        default="embedded",
        pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$",
        max_length=64,
        description="embedded, buffalo_l, or a folder below data/weights/",
    )
    threshold: float | None = Field(
        default=None,
        gt=-1.0,
        lt=1.0,
        description="cosine from which two embeddings are one person; of a pack of one's own; "
        "null for the others, which know theirs",
    )
    licence: str | None = Field(
        default=None, max_length=200, description="of the weights of a pack of one's own"
    )
