"""A training run: its plan, its data, its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from likeness.contracts.params.train import Plan


@dataclass(frozen=True)
class Job:
    """A training run: everything its result depends on, and where its files lie.

    Attributes:
        model: name, for messages and the history.
        family: name of the swap family.
        settings: of the family.
        plan: of the training.
        source: folder with the shards of the source identity, or with the pool.json of a pool
            whose members' shards lie beside it.
        target: the same of the target.
        out: folder for the results; exists.
        state: folder of this model for checkpoints and previews, outside all stage outputs. All
            workers must see the same folder.
        facts: further entries of config.json.
        init: folder of a model of this family to start from; None starts from random weights.
        recogniser: folder that stage `pack` wrote, for families that look at its network.
        perceptual: folder that stage `perceptual` wrote; None leaves features to the recogniser.
        description: `models.training.fingerprint.describe` of all this; empty: found when needed.
    """

    model: str
    family: str
    settings: dict[str, Any]
    plan: Plan
    source: Path
    target: Path
    out: Path
    state: Path
    facts: dict[str, Any] = field(default_factory=dict)
    init: Path | None = None
    recogniser: Path | None = None
    perceptual: Path | None = None
    description: dict[str, Any] = field(default_factory=dict)
