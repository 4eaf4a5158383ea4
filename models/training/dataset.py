"""Crops in memory, of one identity or of many, decoded once, and augmented batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from likeness.contracts.tables.base import as_numpy
from models.batch import Batch, as_image
from models.training.augment import Draw, positions, sample, wanted_positions
from models.training.crops import OVERSAMPLING, POINTS, CropSet, decode, masks_of, resize
from models.training.landmarks import move_landmarks

CHUNK = 256


@dataclass(frozen=True)
class Choice:
    """What one step takes from one side: which crops (N,), and how they are augmented."""

    index: Tensor
    numbers: Draw

    def part(self, begin: int, end: int) -> Choice:
        """Crops `begin` to `end` of the step."""
        return Choice(self.index[begin:end], self.numbers.part(begin, end))


@dataclass(frozen=True)
class Dataset:
    """Crops in memory, with all that a batch may hold of them.

    Attributes:
        crops: uint8 (N,P,P,3) RGB, the whole of align's crops at the resolution training needs.
        masks: uint8 (N,M,M), or None if the family does not ask for them.
        points: landmarks (N,K,2 or 3) float32 in px of align's crops, by column.
        weights: (N,) chance of each crop beside the others of its identity.
        identity: (N,) int64.
        clip: (N,) int64, numbered within the identity.
        names: of the identities, by number.
        size_px: side of the crops in a batch.
        coverage: share of align's crop that they show.
        aligned_px: side of align's crops.
    """

    crops: Tensor
    masks: Tensor | None
    points: dict[str, Tensor]
    weights: Tensor
    identity: Tensor
    clip: Tensor
    names: tuple[str, ...]
    size_px: int
    coverage: float
    aligned_px: int

    def to(self, device: torch.device) -> Dataset:
        """The same crops, masks and points held by `device`; what chooses among them stays."""
        moved = {name: held.to(device) for name, held in self.points.items()}
        masks = None if self.masks is None else self.masks.to(device)
        return replace(self, crops=self.crops.to(device), masks=masks, points=moved)

    @property
    def bytes(self) -> int:
        """Memory of everything."""
        held = [*self._columns().values(), self.weights, self.identity, self.clip]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    def batch(self, choice: Choice, device: torch.device) -> Batch:
        """Augmented batch: "crop" is what the network should return, "warped" what it sees.

        Where nothing is warped, both are one tensor.
        """
        numbers, here = choice.numbers.to(device), self._rows(choice.index, device)
        pictures, masks = as_image(here.pop("crop")), here.pop("mask", None)
        if choice.numbers.jitter.any():
            seen, wanted = positions(numbers, self.coverage, self.size_px)
            batch = {"warped": sample(pictures, seen), "crop": sample(pictures, wanted)}
        else:
            wanted = wanted_positions(numbers, self.coverage, self.size_px)
            batch = {"crop": sample(pictures, wanted)}
            batch["warped"] = batch["crop"]
        if masks is not None:
            batch["mask"] = sample(masks.float()[:, None] / 255, wanted)
        return batch | move_landmarks(here, numbers, self.coverage, self.aligned_px, self.size_px)

    def _columns(self) -> dict[str, Tensor]:
        """Everything that is held of the crops, by the names that it has in a batch."""
        masks = {} if self.masks is None else {"mask": self.masks}
        return {"crop": self.crops, **masks, **self.points}

    def _rows(self, index: Tensor, device: torch.device) -> dict[str, Tensor]:
        """Rows `index` (N,) of all columns, on `device`: chosen where they lie.

        Where that is the device, nothing but the numbers of the rows goes there, once for all.
        """
        there = index.to(self.crops.device, non_blocking=True)
        columns = self._columns().items()
        return {name: column[there].to(device, non_blocking=True) for name, column in columns}


def shrink(crops: Tensor, side: int) -> Tensor:
    """uint8 (N,A,A,3) -> uint8 (N,side,side,3), antialiased."""
    if crops.shape[1] == side:
        return crops
    small = resize(crops.permute(0, 3, 1, 2).float(), side)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def stored_px(crops: CropSet) -> int:
    """Side of the crops that wait in memory: what training can resolve, or all there is."""
    wanted = round(OVERSAMPLING * crops.size_px / crops.coverage)
    return min(int(crops.facts["size_px"]), wanted)


def _fill(dataset: Dataset, crops: CropSet, number: int, begin: int) -> int:
    """Decode the crops of one identity into rows `begin` and following; gives the row after."""
    names = ("clip", "crop", "sample_weight", *(("mask",) if dataset.masks is not None else ()))
    clips: dict[str, int] = {}
    for rows in crops.tables(CHUNK, (*names, *dataset.points)):
        end = begin + rows.num_rows
        dataset.crops[begin:end] = shrink(decode(rows["crop"].to_pylist()), dataset.crops.shape[1])
        dataset.weights[begin:end] = torch.from_numpy(as_numpy(rows["sample_weight"]).copy())
        dataset.identity[begin:end] = number
        found = [clips.setdefault(clip, len(clips)) for clip in rows["clip"].to_pylist()]
        dataset.clip[begin:end] = torch.tensor(found)
        if dataset.masks is not None:
            dataset.masks[begin:end] = masks_of(rows, dataset.masks.shape[1])
        for name, points in dataset.points.items():
            values = as_numpy(rows[name], POINTS[name]).astype(np.float32)
            points[begin:end] = torch.from_numpy(values)
        begin = end
    return begin


def load_dataset(sets: Sequence[CropSet]) -> Dataset:
    """Decode every crop of `sets` (at least one, aligned alike) once, straight into its place."""
    first, count = sets[0], sum(len(crops) for crops in sets)
    side, mask_px = stored_px(first), int(first.facts["mask_size_px"])
    masks = (count, mask_px, mask_px) if "mask" in first.needs else None
    dataset = Dataset(
        crops=torch.empty((count, side, side, 3), dtype=torch.uint8),
        masks=torch.empty(masks, dtype=torch.uint8) if masks else None,
        points={n: torch.empty((count, *POINTS[n])) for n in POINTS if n in first.needs},
        weights=torch.empty(count),
        identity=torch.empty(count, dtype=torch.int64),
        clip=torch.empty(count, dtype=torch.int64),
        names=tuple(crops.identity for crops in sets),
        size_px=first.size_px,
        coverage=first.coverage,
        aligned_px=int(first.facts["size_px"]),
    )
    begin = 0
    for number, crops in enumerate(sets):
        begin = _fill(dataset, crops, number, begin)
    return dataset
