"""Every family, small: settings with which a test takes seconds, and drawn faces to work on."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from likeness.contracts.params.train import Augmentation
from models.batch import Batch
from models.swappers import registry
from models.swappers.abilities import source_images
from models.swappers.base import Swapper
from models.tiny import Tiny
from models.training import loop
from models.training.gallery import views
from models.training.identities import Identities
from models.training.job import Job
from models.training.loaders import build_loader
from models.training.process_group import SingleProcess
from models.training.steps import StepContext


def _tiny_cases() -> dict[str, Tiny]:
    """What every family's `tiny.py` says."""
    modules = {name: f"models.swappers.{name}.tiny" for name in registry.names()}
    return {name: importlib.import_module(module).TINY for name, module in modules.items()}


CASES = _tiny_cases()
TINY: dict[str, dict[str, Any]] = {name: dict(tiny.settings) for name, tiny in CASES.items()}
"""Settings per family with which a test takes seconds."""
STILL = Augmentation(rotation_deg=0, zoom=0, shift=0, flip=0, warp=0)


@dataclass(frozen=True)
class Case:
    """One family, prepared on drawn faces.

    Attributes:
        swapper: in eval mode, untrained.
        source: crops of the source.
        target: crops of the target.
        job: to train it further, in a folder of its own.
    """

    swapper: Swapper
    source: Identities
    target: Identities
    job: Job

    def faces(self, count: int) -> tuple[Batch, Batch]:
        """`count` crops of the target, and as many of the source or what it gets in `convert`."""
        target = _first(self.target, count)
        given = source_images(self.swapper)
        if given:
            return target, views(self.source.sets[0], given)
        return target, _first(self.source, count)

    def context(self) -> StepContext:
        """What the loop's steps work with."""
        loader = build_loader(self.swapper, self.source, self.target)
        return StepContext(self.swapper, loader, self.job.plan, SingleProcess())


def _first(people: Identities, count: int) -> Batch:
    batch = next(people.batches(count))
    return {name: column[:count] for name, column in batch.items()}


def interrupted(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> Iterator[int]:
    """Let Ctrl-C come in the steps of these numbers, counted over all trainings; gives each."""
    real, calls = loop.train_step, 0

    def sometimes(*given: Any) -> float:
        nonlocal calls
        calls += 1
        if calls in steps:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(loop, "train_step", sometimes)
    yield from sorted(steps)
