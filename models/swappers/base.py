"""The interface of every swap family (docs/how-to/add-a-family.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from likeness.contracts.strict import Strict
from models.batch import Batch, Crops

if TYPE_CHECKING:  # families without it do not depend on it
    from models.layers.feature_network import FeatureNetwork
    from models.layers.recogniser import Recogniser


class SwapperConfig(Strict):
    """Base of a family's settings: frozen, unknown keys are errors.

    Families give `size_px` a default and bounds, and may have a `coverage` (`Swapper.coverage`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    size_px: int


@dataclass(frozen=True)
class Phase:
    """A part of each training step (or of the whole training) with parameters of its own.

    Attributes:
        name: "generator", "discriminator", ...
        parameters: what this phase's optimiser moves.
        first_image: images seen when the phase begins.
        last_image: images seen when it ends; None for the end of the training.
        optimiser: "adam" or another name that training.optimisers knows.
        learning_rate: step size.
        betas: moments of Adam.
        factors: multiplies the step size of each of `parameters`; None leaves all as they are.
        options: further settings of the optimiser by name; `training.optimisers` lists them.
        clip_gradient: largest norm of this phase's gradient; None leaves it to the plan.
        rate: images of the training so far -> what the step size is multiplied by; None is 1.
    """

    name: str
    parameters: list[nn.Parameter]
    first_image: int = 0
    last_image: int | None = None
    optimiser: str = "adam"
    learning_rate: float = 5e-5
    betas: tuple[float, float] = (0.5, 0.999)
    factors: list[float] | None = None
    options: Mapping[str, float] = field(default_factory=dict)
    clip_gradient: float | None = None
    rate: Callable[[int], float] | None = None


@dataclass(frozen=True)
class Sampling:
    """How the two batches of a step belong together: row i of both makes pair i.

    Attributes:
        same: chance that a pair is of one identity; the others are of two different ones.
        within: what such a pair is: two crops of the identity, of one of its clips, or of two
            of its clips (of the identity where it has but one).
    """

    same: float
    within: Literal["identity", "clip", "clips"] = "identity"


class Frozen(Protocol):
    """Networks that families look at and never train."""

    def embedder(self) -> Recogniser:
        """The recogniser of the embedded pack, on the CPU."""

    def perceptual(self) -> FeatureNetwork:
        """The network whose features losses compare, as params.yaml chose it, on the CPU.

        Its `features(crop, landmarks_5)` gives maps from fine to coarse; no model's file holds it.
        """


class Swapper(nn.Module, ABC):
    """One swap family: networks, losses and the swap itself.

    Attributes:
        family: name of the module in models/swappers.
        mode: "swap" keeps the target's frame; "reenact" makes the source perform the driver.
        Config: the family's settings, a section of params.yaml.
        needs: columns of the shards that `losses` and `swap` read, beside "crop".
        sampling: pairs for `losses`; None draws both sides independently of each other.
        source_images: crops of the source identity that `swap` wants, at most; 0 for none.
        source_views: which they are in `convert`: at most `source_images` clean crops, spread over
            pose, or all views of the identity's appearance map.
        optional: submodules that the model of `init_from` may have without this one, or lack,
            which then begin untrained.
        layout: how weights of convolutions lie in memory (models/layers/memory_format.py).
        paced: phases or losses follow the share of the budget that is done (`plan_images`), so that
            another budget is another training.
        plan_images: budget of the training, set before `phases`; 0 where there is none.
        images_seen: images of the training so far, set before `losses`.
    """

    family: ClassVar[str]
    mode: ClassVar[Literal["swap", "reenact"]] = "swap"
    Config: ClassVar[type[SwapperConfig]]
    needs: ClassVar[tuple[str, ...]] = ()
    sampling: ClassVar[Sampling | None] = None
    source_images: ClassVar[int] = 0
    source_views: ClassVar[Literal["gallery", "appearance_map"]] = "gallery"
    optional: ClassVar[tuple[str, ...]] = ()
    layout: ClassVar[torch.memory_format] = torch.channels_last
    paced: ClassVar[bool] = False
    plan_images: int = 0
    images_seen: int = 0

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def size_px(self) -> int:
        """Side of the crops that the family takes and returns."""
        return self.config.size_px

    @property
    def coverage(self) -> float:
        """Share of align's crop, centred, that the family sees (1 = all of it)."""
        share: float = getattr(self.config, "coverage", 1.0)
        return share

    def sampling_of(self) -> Sampling | None:
        """The pairs this family wants with its present settings."""
        return self.sampling

    @property
    def takes_pools(self) -> bool:
        """Whether it is trained on pools; by default, who wants pairs is."""
        return self.sampling_of() is not None

    @property
    def unfinished(self) -> str | None:
        """What a model of these settings lacks to swap with it; None: nothing."""
        return None

    def equip(self, analysers: Frozen) -> None:
        """Take frozen networks, as buffers or outside the module tree.

        Runs once before `prepare`, in training alone: what `swap` needs of them must be saved
        with the model (`Recogniser(saved=True)`).
        """
        return

    def prepare(self, source: Crops, target: Crops) -> None:
        """Take what is not learned from the data (colour means, views) into buffers.

        Runs once, before the first phase. Buffers are saved with the weights.
        """
        return

    def phases(self) -> list[Phase]:
        """Phases in the order of a step; empty for a family without training."""
        return []

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Named scalar losses of one step; the loop minimises their sum.

        The batches are augmented: "crop" is what the network should return, "warped" what it
        sees, both (B,3,S,S) in [-1,1].
        """
        raise TypeError(f"{self.family} has no phase {phase}")

    def made(self) -> Batch:
        """What the last `losses` leaves to later steps; by default nothing.

        Tensors by name, of the same shapes and types for every part of a batch.
        """
        return {}

    def keep(self, phase: str, made: Batch) -> None:
        """Take what a part's `losses` has made into buffers, which `losses` must not change.

        Runs after the losses of all parts of a step, once for each in their order, with the same
        tensors on every worker.
        """
        return

    def rehearse(self, phase: str, source: Batch, target: Batch) -> None:
        """Pass through the networks of a phase what they see in use: normalisation settles on it.

        By default what a step's losses pass, which may be more than that: the batches are those
        of `losses`.
        """
        self.losses(phase, source, target)

    def pictures(self, target: Batch, source: Batch) -> dict[str, Tensor]:
        """Further pictures (3,H,W) in [-1,1] by name, written beside the preview; by default none.

        Args:
            target: some crops, as `swap` gets them.
            source: crops of one source identity, as `swap` gets them.
        """
        return {}

    @abstractmethod
    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Put the source's face on the target's crops.

        Args:
            target: crops to replace, with the columns in `needs`.
            source: clean crops of the source identity with the columns in `needs`, the same for
                every batch (`source_views`); its length is not that of `target`.

        Returns:
            Image (B,3,S,S) in [-1,1] and mask (B,1,S,S) in [0,1], 1 = replace.
        """

    def swap_back(self, source: Batch) -> tuple[Tensor, Tensor] | None:
        """The other way round, for previews: the target's face on crops of the source.

        Families that are given crops of a source at run time need not state it: theirs is `swap`
        with the sides exchanged. None where the way back is not learned.

        Args:
            source: crops of the source, with the columns in `needs`.
        """
        return None
