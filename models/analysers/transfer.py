"""mesh_transfer fitted anew, as the baseline beside a swap of another family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.crops import CROPS
from models.batch import Batch
from models.swappers.mesh_transfer.config import MeshTransferConfig
from models.swappers.mesh_transfer.swapper import MeshTransfer
from models.training.crops import CropSet, open_crops

FAMILY = "mesh_transfer"
STEP_PX = 64
"""The family's crops are multiples of this."""


@dataclass
class Meshes:
    """The target's meshes as `MeshTransfer.prepare` reads them: nothing else of its crops."""

    crops: CropSet
    identity: str

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.crops)

    def batches(self, size: int) -> Iterator[Batch]:
        """landmarks_468 (B,468,3) float32 in px of the family's crops, in order."""
        for rows in CROPS.batches(self.crops.paths[0], ["landmarks_468"], size):
            values = as_numpy(rows["landmarks_468"], (468, 3)).astype(np.float32)
            yield {"landmarks_468": self.crops.points(torch.from_numpy(values))}


def fit(source: Path, target: Path) -> tuple[MeshTransfer, CropSet]:
    """The family with its default settings on the shards `source` and align's crops `target`.

    Returns:
        The swapper, ready to swap, and the target's crops as it sees them.

    Raises:
        ModelError: the source has no clean crop, or the target none at all.
    """
    facts = CROPS.check(target)
    size = max(int(facts["size_px"]) // STEP_PX, 1) * STEP_PX
    swapper = MeshTransfer(MeshTransferConfig(size_px=size))
    crops = CropSet(
        identity=facts["identity"],
        paths=[target],
        facts=facts,
        count=CROPS.count(target),
        needs=swapper.needs,
        size_px=swapper.size_px,
        coverage=float(swapper.coverage),
    )
    given = open_crops(source, swapper.needs, swapper.size_px, float(swapper.coverage))
    with torch.inference_mode():
        swapper.prepare(given, Meshes(crops, crops.identity))
    return swapper.eval(), crops
