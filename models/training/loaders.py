"""Random training batches: crops decoded once into memory, drawn by weight, augmented in torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from likeness.contracts.tables.base import as_numpy
from models.batch import Batch, as_image
from models.training.augment import Draw, draw, positions, sample
from models.training.crops import OVERSAMPLING, POINTS, CropSet, decode, masks_of, resize
from models.training.identities import Identities
from models.training.landmarks import move_landmarks
from models.training.plan import Plan
from models.training.seeds import generator

CHUNK = 256


@dataclass(frozen=True)
class Choice:
    """What one step takes from one side: which crops (N,), and how they are augmented."""

    index: Tensor
    numbers: Draw

    def part(self, begin: int, end: int) -> Choice:
        """Crops `begin` to `end` of the step."""
        return Choice(self.index[begin:end], self.numbers.part(begin, end))


Choices = tuple[Choice, Choice]


class Loader(Protocol):
    """Where the two batches of a step come from."""

    @property
    def bytes(self) -> int:
        """Memory of all crops."""

    def to(self, device: torch.device) -> Loader:
        """The same with the crops held by `device`, where batches then need no copy."""

    def choose(self, plan: Plan, place: int) -> Choices:
        """Crops and random numbers of a step; depends on the data and the arguments alone."""

    def batches(self, choices: Choices, device: torch.device) -> tuple[Batch, Batch]:
        """Augmented batches of source and target."""


def rows_of(columns: dict[str, Tensor], index: Tensor, device: torch.device) -> dict[str, Tensor]:
    """Rows `index` (N,) of columns that lie together, on `device`: chosen where they lie.

    Where that is the device, nothing but the numbers of the rows goes there, once for all.
    """
    lying = next(iter(columns.values())).device
    there = index.to(lying, non_blocking=True)
    return {name: column[there].to(device, non_blocking=True) for name, column in columns.items()}


def columns_of(crops: Tensor, masks: Tensor | None, points: dict[str, Tensor]) -> dict[str, Tensor]:
    """Everything that is held of the crops, by the names that it has in a batch."""
    return {"crop": crops, **({} if masks is None else {"mask": masks}), **points}


@dataclass(frozen=True)
class Pool:
    """All crops of one identity in memory.

    Attributes:
        side: "source" or "target"; gives each its own random numbers.
        crops: uint8 (N,P,P,3) RGB, the whole of align's crops at the resolution training needs.
        masks: uint8 (N,M,M), or None if the family does not ask for them.
        points: landmarks (N,K,2 or 3) float32 in px of align's crops, by column.
        weights: (N,) chance of each crop.
        size_px: side of the crops in a batch.
        coverage: share of align's crop that they show.
        aligned_px: side of align's crops.
    """

    side: str
    crops: Tensor
    masks: Tensor | None
    points: dict[str, Tensor]
    weights: Tensor
    size_px: int
    coverage: float
    aligned_px: int

    def to(self, device: torch.device) -> Pool:
        """The same crops, masks and points held by `device`; what chooses among them stays."""
        moved = {name: held.to(device) for name, held in self.points.items()}
        masks = None if self.masks is None else self.masks.to(device)
        return replace(self, crops=self.crops.to(device), masks=masks, points=moved)

    def choose(self, plan: Plan, step: int) -> Choice:
        """Crops and random numbers of a step; depends on the pool and the arguments alone."""
        random = generator(plan.seed, self.side, step)
        count = plan.batch_images
        index = torch.multinomial(self.weights, count, replacement=True, generator=random)
        return Choice(index, draw(count, plan.augment, random))

    def batch(self, choice: Choice, device: torch.device) -> Batch:
        """Augmented batch: "crop" is what the network should return, "warped" what it sees."""
        numbers = choice.numbers.to(device)
        here = rows_of(columns_of(self.crops, self.masks, self.points), choice.index, device)
        pictures, masks = as_image(here.pop("crop")), here.pop("mask", None)
        seen, wanted = positions(numbers, self.coverage, self.size_px)
        batch = {"warped": sample(pictures, seen), "crop": sample(pictures, wanted)}
        if masks is not None:
            batch["mask"] = sample(masks.float()[:, None] / 255, wanted)
        return batch | move_landmarks(here, numbers, self.coverage, self.aligned_px, self.size_px)


@dataclass(frozen=True)
class IndependentLoader:
    """Two sides drawn independently of each other."""

    source: Pool
    target: Pool

    @property
    def bytes(self) -> int:
        """See `Loader`."""
        several = (self.source, self.target)
        tensors = [t for pool in several for t in (pool.crops, pool.masks) if t is not None]
        tensors += [t for pool in several for t in pool.points.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def to(self, device: torch.device) -> IndependentLoader:
        """See `Loader`."""
        return IndependentLoader(self.source.to(device), self.target.to(device))

    def choose(self, plan: Plan, place: int) -> Choices:
        """See `Loader`."""
        return self.source.choose(plan, place), self.target.choose(plan, place)

    def batches(self, choices: Choices, device: torch.device) -> tuple[Batch, Batch]:
        """See `Loader`."""
        return self.source.batch(choices[0], device), self.target.batch(choices[1], device)


def shrink(crops: Tensor, side: int) -> Tensor:
    """uint8 (N,A,A,3) -> uint8 (N,side,side,3), antialiased."""
    if crops.shape[1] == side:
        return crops
    small = resize(crops.permute(0, 3, 1, 2).float(), side)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def stored_px(crops: CropSet | Identities) -> int:
    """Side of the crops that wait in memory: what training can resolve, or all there is."""
    wanted = round(OVERSAMPLING * crops.size_px / crops.coverage)
    return min(int(crops.facts["size_px"]), wanted)


def load_pool(side: str, crops: CropSet | Identities) -> Pool:
    """Decode every crop of `crops` once."""
    stored = stored_px(crops)
    with_masks = "mask" in crops.needs
    points: dict[str, list[Tensor]] = {name: [] for name in POINTS if name in crops.needs}
    columns = ("crop", "sample_weight", *(("mask",) if with_masks else ()), *points)
    pictures, masks, weights = [], [], []
    for rows in crops.tables(CHUNK, columns):
        pictures.append(shrink(decode(rows["crop"].to_pylist()), stored))
        weights.append(torch.from_numpy(as_numpy(rows["sample_weight"]).copy()))
        if with_masks:
            masks.append(masks_of(rows, int(crops.facts["mask_size_px"])))
        for name, found in points.items():
            found.append(torch.from_numpy(as_numpy(rows[name], POINTS[name]).astype(np.float32)))
    return Pool(
        side,
        torch.cat(pictures),
        torch.cat(masks) if masks else None,
        {name: torch.cat(found) for name, found in points.items()},
        torch.cat(weights),
        crops.size_px,
        crops.coverage,
        int(crops.facts["size_px"]),
    )
