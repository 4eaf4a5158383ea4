"""Every family, small: settings with which a test takes seconds, and drawn faces to work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from models.batch import Batch

from models.swappers.base import Swapper
from models.training import loop
from models.training.dataset import load_pair_loader
from models.training.gallery import views
from models.training.identities import Identities
from models.training.loaders import IndependentLoader, load_pool
from models.training.plan import Augmentation, Job
from models.training.process_group import SingleProcess
from models.training.steps import StepContext

TINY: dict[str, dict[str, Any]] = {
    "autoencoder": {"size_px": 32, "width": 8, "learning_rate": 2e-3, "loss": "ssim_l1"},
    "cyclegan": {
        "size_px": 32,
        "width": 8,
        "blocks": 1,
        "critic_width": 4,
        "critic_depth": 1,
        "pool": 6,
        "learning_rate": 5e-3,
        "constant_share": 1.0,
    },
    "autoencoder_gan": {
        "size_px": 64,
        "width": 4,
        "critic_width": 4,
        "attention_px": 16,
        "perceptual": [0],
        "learning_rate": 4e-3,
        "colour_match": 0,
        "motion_blur": 0,
    },
    "faceshifter": {"size_px": 32, "width": 0.05, "same": 0.5, "learning_rate": 5e-3},
    "fsgan": {
        "size_px": 32,
        "width": 8,
        "depth": 2,
        "blocks": 1,
        "segmentation_width": 4,
        "critic_width": 4,
        "critic_depth": 1,
        "steps": 2,
        "perceptual_weight": 0,
        "pixel_weight": 1.0,
        "learning_rate": 8e-3,
        "target_mask": "aligned",
    },
    "mesh_transfer": {"size_px": 64, "max_foreign": 1.0},
    "saehd": {
        "size_px": 32,
        "architecture": "liae-ud",
        "ae_dims": 24,
        "e_dims": 8,
        "d_dims": 8,
        "d_mask_dims": 4,
        "learning_rate": 1e-3,
        "eyes_mouth": True,
        "colour_transfer": "rct",
        "gan": 0.1,
        "clip_gradient": 1.0,
    },
    "pix2pix": {"size_px": 32, "width": 8, "critic_width": 4, "learning_rate": 2e-3},
}
"""Settings per family; a new family adds its line here and passes the suite."""
FALLS: dict[str, tuple[str, float]] = {
    "cyclegan": ("target.cycle", 0.6),
    "autoencoder_gan": ("source.reconstruction", 0.5),
    "faceshifter": ("reconstruction", 0.65),
    "fsgan": ("reconstruction", 0.8),
    "pix2pix": ("l1", 0.35),
}
"""Families whose losses do not all fall: the one that must, and to which share of its beginning."""
BUDGET: dict[str, int] = {
    "autoencoder_gan": 200,
    "cyclegan": 320,
    "faceshifter": 200,
    "fsgan": 104,
    "saehd": 320,
}
"""Images in which a family overfits four crops, where the usual 1600 would take a minute."""
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
        if self.swapper.source_images:
            return target, views(self.source.sets[0], self.swapper.source_images)
        return target, _first(self.source, count)

    def context(self) -> StepContext:
        """What the loop's steps work with."""
        sampling, plan = self.swapper.sampling_of(), self.job.plan
        if sampling is not None:
            return StepContext(
                self.swapper,
                load_pair_loader(self.source, self.target, sampling),
                plan,
                SingleProcess(),
            )
        pools = (load_pool("source", self.source), load_pool("target", self.target))
        return StepContext(self.swapper, IndependentLoader(*pools), plan, SingleProcess())


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
