"""FSGAN: re-enactment, segmentation, inpainting and blending, for faces never seen in training.

Nirkin, Keller, Hassner, "FSGAN: Subject Agnostic Face Swapping and Reenactment" (ICCV 2019), with
the sizes and weights of its second version. Gr moves views of the source to the target's
landmarks; three of them are mixed by the appearance map; Gs cuts out their face; Gc paints what
of the target's face it does not cover; Gb blends. At the defaults the networks have the
published channels; what differs is said in docs/model_cards/fsgan.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.layers.feature_network import FeatureNetwork
from models.layers.patch_critics import MultiScale
from models.losses.adversarial import squares_critic, squares_generator
from models.swappers.abilities import (
    ChoosesViews,
    DrawsPairs,
    Equips,
    Frozen,
    GivenSource,
    Rehearses,
    Sampling,
    ShowsMore,
)
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.swappers.fsgan.config import FsganConfig
from models.swappers.fsgan.lessons import Lesson, Teacher
from models.swappers.fsgan.mapped_views import laid_out, view_shares
from models.swappers.fsgan.networks import Networks

STAGES = ("reenactment", "inpainting", "blending")
SEGMENTATION, SMALL, CRITIC = "segmentation", "_small", "_critic"
SHOWN = 4
"""Faces in the picture of the chain."""


class Fsgan(Swapper, Equips, DrawsPairs, GivenSource, ChoosesViews, Rehearses, ShowsMore):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "fsgan"
    paced: ClassVar[bool] = True
    Config: ClassVar[type[SwapperConfig]] = FsganConfig
    needs: ClassVar[tuple[str, ...]] = ("mask", "landmarks_468", "landmarks_5", "pose_deg")
    source_images: ClassVar[int] = 24
    source_views: ClassVar[Literal["gallery", "appearance_map"]] = "appearance_map"
    config: FsganConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        given = self.config
        self.networks = Networks(given)
        sizes = (given.critic_width, given.critic_depth, given.critic_scales)
        self.critics = nn.ModuleDict({stage: MultiScale(3, *sizes) for stage in STAGES})
        self.perceptual: FeatureNetwork | None = None

    def sampling_of(self) -> Sampling:
        """Two crops of one clip of one identity."""
        return Sampling(same=1.0, within="clip")

    def equip(self, analysers: Frozen) -> None:
        """Take the network whose features the losses compare; it is not saved."""
        if self.config.perceptual_weight:
            self.perceptual = analysers.perceptual()

    def _adversarial(self, stage: str) -> float:
        """Weight of a stage's adversarial loss."""
        given = self.config
        return (
            given.adversarial_weight if stage != "blending" else given.blending_adversarial_weight
        )

    def _spans(self) -> dict[str, tuple[int, int, int]]:
        """Of each stage with a part of the budget: first image, first at the whole side, end."""
        given, budget = self.config, self.plan_images
        shares = [given.reenactment_share, given.inpainting_share, given.blending_share]
        ends = [round(budget * sum(shares[:count]) / sum(shares)) for count in range(4)]
        spans = {}
        for stage, begin, end, share in zip(STAGES, ends[:-1], ends[1:], shares, strict=True):
            if share:
                spans[stage] = (begin, begin + round((end - begin) * given.small_share), end)
        return spans

    def phases(self) -> list[Phase]:
        """Gs and Gr together, then Gc, then Gb; each at half the side first, each with a critic."""
        found = []
        for stage, (begin, middle, end) in self._spans().items():
            if stage == "reenactment" and self.config.segmentation_share:
                last = round(end * self.config.segmentation_share)
                own = list(self.networks.segmentation.parameters())
                found.append(self._phase(SEGMENTATION, own, (begin, last), 1.0))
            if self.config.small_share:
                found += self._pair(stage, (begin, middle), small=True)
            found += self._pair(stage, (middle, end), small=False)
        # Without a budget all are listed; within one, none that rounding has left without a step.
        return [p for p in found if not self.plan_images or p.first_image < (p.last_image or 0)]

    def _pair(self, stage: str, span: tuple[int, int], *, small: bool) -> list[Phase]:
        """The phases of a generator and of its critic, at one size."""
        network, name = self.networks.generator(stage), stage + SMALL * small
        rate = 1.0 if small else self.config.whole_rate
        own = network.small_parameters() if small else network.whole_parameters()
        found = [self._phase(name, own, span, rate)]
        if self._adversarial(stage):
            against = list(self.critics[stage].parameters())
            found.append(self._phase(name + CRITIC, against, span, rate * self.config.critic_rate))
        return found

    def _phase(
        self, name: str, own: list[nn.Parameter], span: tuple[int, int], share: float
    ) -> Phase:
        """A phase at `share` of the learning rate, halved again and again from its beginning."""
        rate = halving(span[0], self.config.halve_every)
        return Phase(name, own, *span, learning_rate=share * self.config.learning_rate, rate=rate)

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Losses of one network; see `phases` for their names.

        Raises:
            TypeError: a phase that this family does not have.
            ModelError: features are to be compared, and `equip` has not run.
        """
        teacher = Teacher(self.networks, self.config, self.perceptual)
        if phase == SEGMENTATION:
            _, middle, end = self._spans()["reenactment"]
            last = end * self.config.segmentation_share
            ramp = min(self.images_seen / last, 1.0) if last else 1.0
            return teacher.segmentation(source, target, ramp, small=self.images_seen < middle)
        name = phase.removesuffix(CRITIC)
        small, stage = name.endswith(SMALL), name.removesuffix(SMALL)
        if stage not in STAGES:
            return super().losses(phase, source, target)
        critic = phase.endswith(CRITIC)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not critic):
            lesson = teacher.lesson(stage, source, target, small=small, judged=not critic)
        if critic:
            judge = self.critics[stage]
            return {"squares": squares_critic(judge(lesson.real), judge(lesson.drawn))}
        return self._judged(stage, lesson, teacher)

    def _judged(self, stage: str, lesson: Lesson, teacher: Teacher) -> dict[str, Tensor]:
        """Losses of what a generator drew."""
        rec = teacher.rec(lesson.drawn, lesson.wanted, lesson.five)
        found = {"reconstruction": rec, **lesson.others}
        if self._adversarial(stage):
            verdict = squares_generator(self.critics[stage](lesson.drawn))
            found["adversarial"] = self._adversarial(stage) * verdict
        return found

    def rehearse(self, phase: str, source: Batch, target: Batch) -> None:
        """A swap between the rows of two batches, once for all networks.

        Row i's target gets the source of row i - 1: in use the two are different people.
        """
        if phase == self.phases()[-1].name:
            others = {name: column.roll(1, 0) for name, column in source.items()}
            self.networks.swap(target, others, torch.eye(len(target["crop"])).to(target["crop"]))

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Redraw the source's views in the target's pose and set them in; see `Swapper.swap`.

        Raises:
            ModelError: there is no crop of the source.
        """
        if source is None or not len(source["crop"]):
            step = "give crops of the source: `convert` takes them from its shards"
            raise ModelError(self.family, "has no view of the source", step)
        shares = shares_of(source, target)
        _, middle, end = self._spans().get("reenactment", (0, 0, 0))
        if self.images_seen < end < self.plan_images:
            # A preview while what follows Gr has learned nothing yet.
            small = self.images_seen < middle
            return self.networks.shown(target, source, shares, small=small), target["mask"]
        chain = self.networks.swap(target, source, shares)
        return chain.blended, chain.mask

    def pictures(self, target: Batch, source: Batch) -> dict[str, Tensor]:
        """`chain`: a row per face of nearest view, target, and what each network adds."""
        some = {name: column[:SHOWN] for name, column in target.items()}
        shares = shares_of(source, some)
        chain, crops = self.networks.swap(some, source, shares), some["crop"]
        pasted = crops + chain.mask * (chain.blended - crops)
        nearest = source["crop"][shares.argmax(1)]
        columns = (nearest, crops, chain.drawn, chain.cut, chain.painted, chain.blended, pasted)
        return {"chain": torch.cat([torch.cat(list(column), 1) for column in columns], 2)}


def halving(begin: int, every: int) -> Callable[[int], float] | None:
    """Images of the training so far -> 0.5 for each `every` since `begin`; None where 0."""
    if not every:
        return None
    return lambda images: float(0.5 ** ((images - begin) // every))


def shares_of(source: Batch, target: Batch) -> Tensor:
    """Share (B,V) of each view in each target's picture: by the stage's map where it is given.

    Previews of a training show a few views, which lie in a map of their own.
    """
    known = source if "map_points" in source else None
    points, triangles = (
        (known["map_points"], known["map_triangles"]) if known else laid_out(source["pose_deg"])
    )
    return view_shares(points, triangles, target["pose_deg"])
