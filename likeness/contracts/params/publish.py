"""Section `publish` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section
from likeness.contracts.vocabulary import PRESETS, Corner

MARK_TEXT = "AI face swap · likeness"


class PublishParams(Section):
    """`publish:` of params.yaml."""

    visible_mark: bool = Field(default=True, description="false is recorded and said loudly")
    text: str = Field(default=MARK_TEXT, min_length=1, max_length=80, description="of the mark")
    corner: Corner = Field(default="bottom-right", description="where the mark stands")
    size: float = Field(
        default=0.035, ge=0.02, le=0.2, description="letters, share of the frame's shorter side"
    )
    opacity: float = Field(default=0.85, ge=0.4, le=1, description="of the mark; 1 hides the rest")
    crf: int = Field(default=17, ge=0, le=51, description="x264 quality, lower is better")
    preset: str = Field(
        default="veryfast", pattern=f"^({'|'.join(PRESETS)})$", description="x264 speed"
    )
