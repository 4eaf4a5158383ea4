"""Section `occlusion` of models/analysers/shipped/occlusion.yaml: no part of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section

Runs = list[tuple[int, int]]


class ClipLessons(Section):
    """Which frames of a clip show a face with nothing before it."""

    learn: Runs = Field(description="first and last frame of each run to learn from")
    test: Runs = Field(description="the same, held back")
    every: int = Field(default=1, ge=1, description="frames, of which one is taken")


class OcclusionParams(Section):
    """Section `occlusion` of models/analysers/shipped/occlusion.yaml."""

    seed: int = Field(default=0, description="of weights and lessons")
    steps: int = Field(default=900, ge=1, description="batches")
    batch_images: int = Field(default=16, ge=2, description="lessons to a batch")
    rate: float = Field(default=3e-3, gt=0.0, description="largest learning rate")
    tests: int = Field(default=96, ge=1, description="lessons on held-back frames")
    clips: dict[str, ClipLessons] = Field(description="<identity>/<clip>: its frames")
