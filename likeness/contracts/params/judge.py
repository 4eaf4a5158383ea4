"""Section `judge` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class JudgeParams(Section):
    """Section `judge` of params.yaml."""

    embedder: str = Field(
        default="faceplugin",
        description="faceplugin, dlib (needs the extra of that name), none, or another embedder of "
        "weights.toml that is an ONNX file",
    )
    required: bool = Field(
        default=False, description="stop when it cannot be fetched, instead of going without"
    )
