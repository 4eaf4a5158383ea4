"""What some families can do and others need not: small protocols beside `Swapper`.

A family names those that it fulfils among its bases. Callers ask by `isinstance`, or by the helpers
at the end, which also say what holds for a family that does not fulfil the protocol.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

from torch import Tensor

from models.batch import Batch, Crops
from models.swappers.base import Swapper

if TYPE_CHECKING:  # families without it do not depend on it
    from models.layers.feature_network import FeatureNetwork
    from models.layers.recogniser import Recogniser


class Frozen(Protocol):
    """Networks that families look at and never train."""

    def embedder(self) -> Recogniser:
        """The recogniser of the embedded pack, on the CPU."""

    def perceptual(self) -> FeatureNetwork:
        """The network whose features losses compare, as params.yaml chose it, on the CPU.

        Its `features(crop, landmarks_5)` gives maps from fine to coarse; no model's file holds it.
        """


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


@runtime_checkable
class Prepares(Protocol):
    """Takes from the data what is not learned."""

    @abstractmethod
    def prepare(self, source: Crops, target: Crops) -> None:
        """Take what is not learned from the data (colour means, views) into buffers.

        Runs once, before the first phase. Buffers are saved with the weights.
        """


@runtime_checkable
class Equips(Protocol):
    """Looks at frozen networks, in its losses or in a swap."""

    @abstractmethod
    def equip(self, analysers: Frozen) -> None:
        """Take frozen networks, as buffers or outside the module tree.

        Runs once before `prepare`, in training alone: what `swap` needs of them must be saved
        with the model (`Recogniser(saved=True)`).
        """


@runtime_checkable
class SwapsBack(Protocol):
    """Learns both ways, and shows the other one in previews.

    Families that are given crops of a source at run time need not: theirs is `swap` with the sides
    exchanged.
    """

    @abstractmethod
    def swap_back(self, source: Batch) -> tuple[Tensor, Tensor]:
        """The target's face on crops of the source, as `swap` returns it.

        Args:
            source: crops of the source, with the columns in `needs`.
        """


@runtime_checkable
class ShowsMore(Protocol):
    """Draws pictures of its own beside the preview."""

    @abstractmethod
    def pictures(self, target: Batch, source: Batch) -> dict[str, Tensor]:
        """Pictures (3,H,W) in [-1,1] by name; none where the settings leave nothing to show.

        Args:
            target: some crops, as `swap` gets them.
            source: crops of one source identity, as `swap` gets them.
        """


@runtime_checkable
class Rehearses(Protocol):
    """Normalises by statistics that settle on less than what a step's losses pass."""

    @abstractmethod
    def rehearse(self, phase: str, source: Batch, target: Batch) -> None:
        """Pass through the networks of a phase what they see in use.

        The batches are those of `losses`.
        """


@runtime_checkable
class Remembers(Protocol):
    """Carries something else than weights from step to step (earlier pictures), in buffers."""

    @abstractmethod
    def made(self) -> Batch:
        """What the last `losses` leaves to later steps; empty where that is nothing.

        Tensors by name, of the same shapes and types for every part of a batch.
        """

    @abstractmethod
    def keep(self, phase: str, made: Batch) -> None:
        """Take what a part's `losses` has made into buffers, which `losses` must not change.

        Runs after the losses of all parts of a step, once for each in their order, with the same
        tensors on every worker.
        """


@runtime_checkable
class DrawsPairs(Protocol):
    """Its losses get pairs, row by row; such a family may be trained on a pool."""

    @abstractmethod
    def sampling_of(self) -> Sampling:
        """The pairs this family wants with its present settings."""


@runtime_checkable
class MayRefusePools(Protocol):
    """A `DrawsPairs` that is trained on pools with some settings alone."""

    @property
    @abstractmethod
    def takes_pools(self) -> bool:
        """Whether it is with its present ones."""


@runtime_checkable
class GivenSource(Protocol):
    """`swap` is given clean crops of the source identity, spread over pose.

    Attributes:
        source_images: at most so many.
    """

    source_images: ClassVar[int]


@runtime_checkable
class ChoosesViews(Protocol):
    """A `GivenSource` that says which crops it is given in `convert`.

    Attributes:
        source_views: those of the gallery, or all views of the identity's appearance map.
    """

    source_views: ClassVar[Literal["gallery", "appearance_map"]]


@runtime_checkable
class HasOptionalParts(Protocol):
    """Has submodules that a model it begins from may lack, or have without this one.

    Attributes:
        optional: their names; those that were not there begin untrained.
    """

    optional: ClassVar[tuple[str, ...]]


@runtime_checkable
class MayBeUnfinished(Protocol):
    """Can be trained so that it is not yet there to swap with."""

    @property
    @abstractmethod
    def unfinished(self) -> str | None:
        """What a model of these settings lacks to swap with it; None: nothing."""


def sampling_of(swapper: Swapper) -> Sampling | None:
    """The pairs that a family's losses get; None: both sides independently of each other."""
    return swapper.sampling_of() if isinstance(swapper, DrawsPairs) else None


def takes_pools(swapper: Swapper) -> bool:
    """Whether a family is trained on pools with its present settings: by default if it pairs."""
    if isinstance(swapper, MayRefusePools):
        return swapper.takes_pools
    return isinstance(swapper, DrawsPairs)


def source_images(swapper: Swapper) -> int:
    """Crops of the source identity that `swap` wants, at most; 0: it is given none."""
    return swapper.source_images if isinstance(swapper, GivenSource) else 0


def wants_map(swapper: Swapper) -> bool:
    """Whether `convert` gives all views of the source's appearance map, not of its gallery."""
    return isinstance(swapper, ChoosesViews) and swapper.source_views == "appearance_map"


def optional_parts(swapper: Swapper) -> tuple[str, ...]:
    """How the names of a family's optional weights begin."""
    names = swapper.optional if isinstance(swapper, HasOptionalParts) else ()
    return tuple(f"{name}." for name in names)
