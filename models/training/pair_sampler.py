"""Which crops make pairs: identities equally often, crops by weight, one identity by chance p.

Everything is drawn for a whole batch at once. Crops lie in order of identity and clip, so that a
group is a range of the sum of weights: a uniform number scaled into the range finds its crop.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.swappers.abilities import Sampling


def _starts(groups: Tensor, count: int) -> Tensor:
    """Where each of `count` groups begins in sorted `groups` (N,), and the end: (count+1,)."""
    return torch.searchsorted(groups, torch.arange(count + 1))


@dataclass(frozen=True)
class CropSampler:
    """Crops in order of identity and clip.

    Attributes:
        order: (N,) row of each crop, by rank.
        total: (N+1,) float64 sum of the weights before each rank.
        clip: (N,) clip of each rank, numbered over all identities.
        people: (I+1,) rank at which each identity begins.
        clips: (C+1,) rank at which each clip begins.
    """

    order: Tensor
    total: Tensor
    clip: Tensor
    people: Tensor
    clips: Tensor

    def draw(self, begin: Tensor, end: Tensor, chance: Tensor) -> Tensor:
        """Ranks (B,) in [begin, end), by weight, for uniform numbers `chance` (B,)."""
        low, high = self.total[begin], self.total[end]
        return self._rank(low + chance * (high - low), begin, end)

    def draw_outside(
        self, begin: Tensor, end: Tensor, hole: tuple[Tensor, Tensor], chance: Tensor
    ) -> Tensor:
        """The same, never from the range `hole` (two (B,)) unless it leaves nothing."""
        low, gap = self.total[begin], self.total[hole[1]] - self.total[hole[0]]
        rest = self.total[end] - low - gap
        whole = (hole[1] - hole[0]) == end - begin
        place = low + chance * rest
        place = torch.where(place >= self.total[hole[0]], place + gap, place)
        return torch.where(whole, self.draw(begin, end, chance), self._rank(place, begin, end))

    def _rank(self, place: Tensor, begin: Tensor, end: Tensor) -> Tensor:
        found = torch.searchsorted(self.total, place, right=True) - 1
        return torch.minimum(torch.maximum(found, begin), end - 1)


def make_crop_sampler(identity: Tensor, clip: Tensor, weights: Tensor) -> CropSampler:
    """A sampler of crops (N,) with these identities, clips (numbered in any scheme) and weights."""
    order = torch.argsort(identity * (clip.max() + 1) + clip, stable=True)
    keys = (identity * (clip.max() + 1) + clip)[order]
    numbered = torch.unique_consecutive(keys, return_inverse=True)[1]
    total = torch.cat([torch.zeros(1, dtype=torch.float64), weights[order].double().cumsum(0)])
    people = _starts(identity[order], int(identity.max()) + 1)
    return CropSampler(order, total, numbered, people, _starts(numbered, int(numbered.max()) + 1))


@dataclass(frozen=True)
class IdentityPairSampler:
    """Pairs of identities for a step.

    Attributes:
        source: identities that the source side may show, numbered as in the sampler, sorted.
        target: the same of the target side.
        sampling: how often both are one.
        place: position of each identity in `source`, -1 where it is none.
    """

    source: Tensor
    target: Tensor
    sampling: Sampling
    place: Tensor = field(init=False)

    def __post_init__(self) -> None:
        count = int(torch.cat([self.source, self.target]).max()) + 1
        place = torch.full((count,), -1)
        place[self.source] = torch.arange(len(self.source))
        object.__setattr__(self, "place", place)

    def draw(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Identities (B,), (B,) of source and target.

        A pair of one identity takes it from either side with equal chance; within a side all
        identities are equally likely. Where nobody is left to differ from, a pair is of one.
        """
        chance = torch.rand((5, count), generator=random, dtype=torch.float64)
        others = [t for t in self.target.tolist() if len(self.source) > 1 or self.place[t] < 0]
        one = torch.where(
            chance[1] < 0.5, _pick(self.source, chance[2]), _pick(self.target, chance[2])
        )
        if not others:
            return one, one
        target = _pick(torch.tensor(others), chance[3])
        same = chance[0] < self.sampling.same
        source = self._another(target, chance[4])
        return torch.where(same, one, source), torch.where(same, one, target)

    def _another(self, target: Tensor, chance: Tensor) -> Tensor:
        """Identities of the source side that differ from `target` (B,)."""
        place = self.place[target]
        choices = len(self.source) - (place >= 0).long()
        index = (chance * choices).long()
        return self.source[index + ((place >= 0) & (index >= place)).long()]


def _pick(some: Tensor, chance: Tensor) -> Tensor:
    return some[(chance * len(some)).long()]


def draw_pairs(
    sampler: CropSampler, pairing: IdentityPairSampler, count: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Rows (B,), (B,) of the crops of `count` pairs."""
    source, target = pairing.draw(count, random)
    chance = torch.rand((2, count), generator=random, dtype=torch.float64)
    begin, end = sampler.people[target], sampler.people[target + 1]
    second = sampler.draw(begin, end, chance[0])
    first = sampler.draw(sampler.people[source], sampler.people[source + 1], chance[1])
    clip = sampler.clip[second]
    hole = (sampler.clips[clip], sampler.clips[clip + 1])
    if pairing.sampling.within == "clip":
        near = sampler.draw(*hole, chance[1])
    elif pairing.sampling.within == "clips":
        near = sampler.draw_outside(begin, end, hole, chance[1])
    else:
        near = first
    return sampler.order[torch.where(source == target, near, first)], sampler.order[second]
