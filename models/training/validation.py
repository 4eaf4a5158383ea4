"""How like the source a model makes faces that it was not trained on; measured at each preview.

Crops of the target's val split are swapped and put back under the family's own mask, embedded by
the frozen recogniser of stage `pack`, and compared with the mean embedding of the source's val
crops. Both are seen as the family sees them (`coverage`, `size_px`), so that the cosine serves to
compare moments of one training; the verdict on a swap is that of stage `evaluate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from likeness.contracts.errors import ModelError
from likeness.contracts.tables.shards import SHARDS
from models.batch import Batch
from models.layers.recogniser import Recogniser
from models.swappers.abilities import source_images
from models.swappers.base import Swapper
from models.training.crops import CropSet, open_crops
from models.training.frozen import FrozenNetworks
from models.training.gallery import views
from models.training.identities import folders_of
from models.training.job import Job
from models.training.previews import pairing

POINTS = "landmarks_5"


@dataclass(frozen=True)
class Examinee:
    """Crops of one person of the target's val split, and whose face they are given.

    Attributes:
        target: the crops.
        source: what `swap` gets of the source.
        gallery: (1,128) unit mean embedding of the source's val crops.
    """

    target: Batch
    source: Batch
    gallery: Tensor


@dataclass(frozen=True)
class Validation:
    """The same faces each time, and the network that judges them."""

    recogniser: Recogniser
    examinees: tuple[Examinee, ...]

    @torch.no_grad()
    def identity(self, swapper: Swapper) -> float:
        """Mean cosine of the swapped crops to the source, in [-1,1]."""
        training = swapper.training
        swapper.eval()
        found = [self._cosines(swapper, examinee) for examinee in self.examinees]
        swapper.train(training)
        return float(torch.cat(found).mean())

    def _cosines(self, swapper: Swapper, examinee: Examinee) -> Tensor:
        target, source = examinee.target, examinee.source
        picture, mask = swapper.swap(target, source)
        seen = target["crop"] + mask.float() * (picture.float() - target["crop"])
        return (self.recogniser.embed(seen, target[POINTS]) * examinee.gallery).sum(dim=1)


def _held_back(folder: Path, swapper: Swapper) -> list[CropSet]:
    """The val crops of everybody behind a side; people without any are left out."""
    needs = tuple(dict.fromkeys((*swapper.needs, POINTS)))
    view = (needs, swapper.size_px, swapper.coverage)
    return [open_crops(f, *view, "val") for f in folders_of(folder) if _has_rows(f)]


def _has_rows(folder: Path) -> bool:
    return any(SHARDS.count(path) for path in sorted(folder.glob("val-*.parquet")))


def _moved(batch: Batch, device: torch.device) -> Batch:
    return {name: column.to(device) for name, column in batch.items()}


def require_no_best(job: Job, problem: str, step: str) -> None:
    """Check that nobody waits for the best snapshot where nothing can tell which one it is.

    Raises:
        ModelError: the plan wants it.
    """
    if job.plan.wants_best:
        raise ModelError(job.model, f"the best snapshot is unknown: {problem}", step)


def open_validation(job: Job, swapper: Swapper, device: torch.device) -> Validation | None:
    """The validation that the plan asks for; None where it asks for none or there is no material.

    Raises:
        ModelError: the recogniser's files are damaged, or the best model is wanted and nothing
            can tell which one it is.
    """
    wanted = job.plan.validation_images
    if not wanted or job.recogniser is None:
        require_no_best(job, "no recogniser or no crop to validate with", "give both")
        return None
    givers, takers = _held_back(job.source, swapper), _held_back(job.target, swapper)
    if not givers or not takers:
        step = "add footage, so that `shard` has seconds to hold back, or keep the last one"
        require_no_best(job, "the val split holds no crops", step)
        return None
    recogniser = FrozenNetworks(job.recogniser).embedder().to(device)
    found = []
    parts = pairing(tuple(givers), tuple(takers), min(wanted, len(givers) * len(takers)))
    for giver, taker, _ in parts:
        shown = _moved(giver.some(wanted), device)
        with torch.no_grad():
            mean = recogniser.embed(shown["crop"], shown[POINTS]).mean(dim=0, keepdim=True)
        given = source_images(swapper)
        source = views(giver, given) if given else giver.some(1)
        target = taker.some(-(-wanted // len(parts)))
        gallery = functional.normalize(mean)
        found.append(Examinee(_moved(target, device), _moved(source, device), gallery))
    return Validation(recogniser, tuple(found))
