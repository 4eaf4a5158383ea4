"""Every family, small: settings with which a test takes seconds, and drawn faces to work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.swappers.base import Batch, Swapper
from models.training.crops import CropSet
from models.training.plan import Augmentation, Job

TINY: dict[str, dict[str, Any]] = {
    "autoencoder": {"size_px": 32, "width": 8, "learning_rate": 2e-3, "loss": "ssim_l1"},
    "mesh_transfer": {"size_px": 64, "max_foreign": 1.0},
}
"""Settings per family; a new family adds its line here and passes the suite."""
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
    source: CropSet
    target: CropSet
    job: Job

    def faces(self, count: int) -> tuple[Batch, Batch]:
        """`count` crops of the target and of the source."""
        found = []
        for crops in (self.target, self.source):
            batch = next(crops.batches(count))
            found.append({name: column[:count] for name, column in batch.items()})
        return found[0], found[1]
