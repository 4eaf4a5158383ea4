"""Where the two batches of a step come from: crops drawn by weight, for each side or in pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch

from likeness.contracts.params.train import Plan
from models.batch import Batch
from models.swappers.abilities import Sampling, sampling_of
from models.swappers.base import Swapper
from models.training.augment import draw
from models.training.dataset import Choice, Dataset, load_dataset
from models.training.identities import Identities
from models.training.pair_sampler import (
    CropSampler,
    IdentityPairSampler,
    draw_pairs,
    make_crop_sampler,
)
from models.training.seeds import generator

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


def choose(side: str, dataset: Dataset, plan: Plan, place: int) -> Choice:
    """Crops of one side by weight, and how they are augmented; each side draws numbers of its own.

    Args:
        side: "source" or "target".
        dataset: its crops.
        plan: batch size, augmentation and seed.
        place: of the draw; each has its own numbers.
    """
    random, count = generator(plan.seed, side, place), plan.batch_images
    index = torch.multinomial(dataset.weights, count, replacement=True, generator=random)
    return Choice(index, draw(count, plan.augment, random))


@dataclass(frozen=True)
class IndependentLoader:
    """Two sides drawn independently of each other; implements `Loader`."""

    source: Dataset
    target: Dataset

    @property
    def bytes(self) -> int:
        """See `Loader`."""
        return self.source.bytes + self.target.bytes

    def to(self, device: torch.device) -> IndependentLoader:
        """See `Loader`."""
        return IndependentLoader(self.source.to(device), self.target.to(device))

    def choose(self, plan: Plan, place: int) -> Choices:
        """See `Loader`."""
        source = choose("source", self.source, plan, place)
        return source, choose("target", self.target, plan, place)

    def batches(self, choices: Choices, device: torch.device) -> tuple[Batch, Batch]:
        """See `Loader`."""
        return self.source.batch(choices[0], device), self.target.batch(choices[1], device)


@dataclass(frozen=True)
class PairLoader:
    """Both sides of each step, drawn together; implements `Loader`.

    Attributes:
        dataset: everybody's crops.
        sampler: draws crops of an identity.
        pairing: draws who meets whom.
    """

    dataset: Dataset
    sampler: CropSampler
    pairing: IdentityPairSampler

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
        """See `Loader`; "same" (N,) is 1 where a row shows one identity, "identity_index" whose."""
        chosen = torch.stack([self.dataset.identity[choice.index] for choice in choices])
        identities = chosen.to(device, non_blocking=True).unbind(0)
        same = (identities[0] == identities[1]).float()
        source, target = (self.dataset.batch(choice, device) for choice in choices)
        for batch, identity in zip((source, target), identities, strict=True):
            batch["same"] = same
            batch["identity_index"] = identity
        return source, target


def independent_loader(source: Identities, target: Identities) -> IndependentLoader:
    """The crops of each side in memory, by themselves."""
    return IndependentLoader(load_dataset(source.sets), load_dataset(target.sets))


def pair_loader(source: Identities, target: Identities, sampling: Sampling) -> PairLoader:
    """Everybody of both sides in memory, numbered by name, ready to be paired."""
    sets = {crops.identity: crops for crops in (*source.sets, *target.sets)}
    names = sorted(sets)
    dataset = load_dataset([sets[name] for name in names])
    sides = [
        torch.tensor(sorted(names.index(c.identity) for c in p.sets)) for p in (source, target)
    ]
    sampler = make_crop_sampler(dataset.identity, dataset.clip, dataset.weights)
    return PairLoader(dataset, sampler, IdentityPairSampler(sides[0], sides[1], sampling))


def has_room(loader: Loader, device: torch.device) -> bool:
    """Whether a GPU has memory for all crops beside the training: half of what is free."""
    return device.type == "cuda" and loader.bytes <= torch.cuda.mem_get_info(device)[0] // 2


def build_loader(
    swapper: Swapper, source: Identities, target: Identities, device: torch.device | None = None
) -> Loader:
    """The crops of both sides in memory, drawn as the family asks; on the GPU where it has room.

    There a step then copies nothing but the numbers of its rows and of their augmentation.
    """
    sampling = sampling_of(swapper)
    loader: Loader
    if sampling is None:
        loader = independent_loader(source, target)
    else:
        loader = pair_loader(source, target, sampling)
    return loader.to(device) if device is not None and has_room(loader, device) else loader
