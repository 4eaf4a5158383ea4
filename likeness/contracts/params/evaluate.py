"""Section `evaluate` of params.yaml."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from likeness.contracts.errors import ParamsError
from likeness.contracts.strict import Section

MOVED = {
    "embedder": (
        "is no longer a parameter: a stage of its own gives the second embedder",
        "set `judge: {embedder: faceplugin}`",
    ),
    "baseline_frames": (
        "is no longer a parameter: a stage of its own makes the baselines",
        "set `baselines: {runs: 4}`, of three frames each",
    ),
}
"""Parameters that there were -> what became of them, and what to do."""


class EvaluateParams(Section):
    """`evaluate:` of params.yaml."""

    max_frames: int = Field(
        default=52, ge=3, description="frames whose face is embedded, evenly spaced; a third whole"
    )
    judge_frames: int = Field(
        default=6, ge=1, le=1000, description="frames that the second embedder sees"
    )
    gallery_faces: int = Field(
        default=64, ge=1, le=512, description="of the source: to compare with, and to paste"
    )
    margin_px: int = Field(
        default=4, ge=0, le=64, description="frame px around the mask that count as touched"
    )
    worst_frames: int = Field(default=10, ge=0, le=50, description="shown per metric")
    stills: int = Field(default=8, ge=1, le=24, description="full frames in the report")
    film_frames: int = Field(
        default=90,
        ge=0,
        le=2000,
        description="as a film in the report; of more: beginning, middle, end",
    )
    gates: dict[str, str] | tuple[str, ...] = Field(
        default={}, description='bounds on metrics.json: {identity_cosine.source: ">= 0.35"}'
    )

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, content: Any) -> Any:
        for name, (problem, step) in MOVED.items():
            if isinstance(content, dict) and name in content:
                raise ParamsError(f"evaluate.{name}", problem, step)
        return content
