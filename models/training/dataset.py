"""Crops of many people in memory, decoded once, and the pairs of batches drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from likeness.contracts.tables.base import as_numpy
from models.batch import Batch, as_image
from models.swappers.base import Sampling
from models.training.augment import draw, positions, sample, wanted_positions
from models.training.crops import POINTS, CropSet, decode, masks_of
from models.training.identities import Identities
from models.training.landmarks import move_landmarks
from models.training.loaders import CHUNK, Choice, Choices, columns_of, rows_of, shrink, stored_px
from models.training.pair_sampler import (
    CropSampler,
    IdentityPairSampler,
    draw_pairs,
    make_crop_sampler,
)
from models.training.plan import Plan
from models.training.seeds import generator


@dataclass(frozen=True)
class Dataset:
    """All crops of a training in memory, uint8.

    Attributes:
        crops: uint8 (N,P,P,3) RGB, the whole of align's crops at the resolution training needs.
        masks: uint8 (N,M,M), or None if the family does not ask for them.
        points: landmarks (N,K,2 or 3) float32 in px of align's crops, by column.
        weights: (N,) chance of each crop beside the others of its identity.
        identity: (N,) int64.
        clip: (N,) int64, numbered within the identity.
        names: of the identities, by number.
        aligned_px: side of align's crops.
    """

    crops: Tensor
    masks: Tensor | None
    points: dict[str, Tensor]
    weights: Tensor
    identity: Tensor
    clip: Tensor
    names: tuple[str, ...]
    aligned_px: int

    def to(self, device: torch.device) -> Dataset:
        """The same crops, masks and points held by `device`; what chooses among them stays."""
        moved = {name: held.to(device) for name, held in self.points.items()}
        masks = None if self.masks is None else self.masks.to(device)
        return replace(self, crops=self.crops.to(device), masks=masks, points=moved)

    @property
    def bytes(self) -> int:
        """Memory of everything."""
        held = [self.crops, self.weights, self.identity, self.clip, *self.points.values()]
        held += [] if self.masks is None else [self.masks]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


@dataclass(frozen=True)
class PairLoader:
    """Both sides of each step, drawn together; implements `models.training.loaders.Loader`.

    Attributes:
        dataset: everybody's crops.
        sampler: their order.
        pairing: who meets whom.
        size_px: side of the crops in a batch.
        coverage: share of align's crop that they show.
    """

    dataset: Dataset
    sampler: CropSampler
    pairing: IdentityPairSampler
    size_px: int
    coverage: float

    @property
    def bytes(self) -> int:
        """See `Loader`."""
        return self.dataset.bytes

    def to(self, device: torch.device) -> PairLoader:
        """See `Loader`."""
        return replace(self, dataset=self.dataset.to(device))

    def choose(self, plan: Plan, place: int) -> Choices:
        """See `Loader`."""
        count = plan.batch_images
        rows = draw_pairs(self.sampler, self.pairing, count, generator(plan.seed, "pairs", place))
        source, target = (
            Choice(index, draw(count, plan.augment, generator(plan.seed, side, place)))
            for side, index in zip(("source", "target"), rows, strict=True)
        )
        return source, target

    def batches(self, choices: Choices, device: torch.device) -> tuple[Batch, Batch]:
        """See `Loader`."""
        chosen = torch.stack([self.dataset.identity[choice.index] for choice in choices])
        identities = chosen.to(device, non_blocking=True).unbind(0)
        same = (identities[0] == identities[1]).float()
        source, target = (self._batch(choice, device) for choice in choices)
        for batch, identity in zip((source, target), identities, strict=True):
            batch["same"] = same
            batch["identity_index"] = identity
        return source, target

    def _batch(self, choice: Choice, device: torch.device) -> Batch:
        dataset, numbers = self.dataset, choice.numbers.to(device)
        here = rows_of(
            columns_of(dataset.crops, dataset.masks, dataset.points), choice.index, device
        )
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
        batch |= move_landmarks(here, numbers, self.coverage, dataset.aligned_px, self.size_px)
        return batch


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


def load_dataset(people: list[CropSet]) -> Dataset:
    """Decode every crop of `people` (at least one) once, straight into its place."""
    first, count = people[0], sum(len(crops) for crops in people)
    side, wanted = stored_px(first), first.needs
    mask_px = int(first.facts["mask_size_px"])
    dataset = Dataset(
        crops=torch.empty((count, side, side, 3), dtype=torch.uint8),
        masks=torch.empty((count, mask_px, mask_px), dtype=torch.uint8)
        if "mask" in wanted
        else None,
        points={n: torch.empty((count, *POINTS[n])) for n in POINTS if n in wanted},
        weights=torch.empty(count),
        identity=torch.empty(count, dtype=torch.int64),
        clip=torch.empty(count, dtype=torch.int64),
        names=tuple(crops.identity for crops in people),
        aligned_px=int(first.facts["size_px"]),
    )
    begin = 0
    for number, crops in enumerate(people):
        begin = _fill(dataset, crops, number, begin)
    return dataset


def load_pair_loader(source: Identities, target: Identities, sampling: Sampling) -> PairLoader:
    """Everybody of both sides in memory, numbered by name, ready to be paired."""
    sets = {crops.identity: crops for crops in (*source.sets, *target.sets)}
    names = sorted(sets)
    dataset = load_dataset([sets[name] for name in names])
    sides = [
        torch.tensor(sorted(names.index(c.identity) for c in p.sets)) for p in (source, target)
    ]
    sampler = make_crop_sampler(dataset.identity, dataset.clip, dataset.weights)
    pairing = IdentityPairSampler(sides[0], sides[1], sampling)
    return PairLoader(dataset, sampler, pairing, source.size_px, source.coverage)
