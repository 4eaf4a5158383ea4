"""The interface of every swap family (docs/how-to/add-a-family.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from likeness.contracts.strict import Strict
from models.batch import Batch


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


class Swapper(nn.Module, ABC):
    """One swap family: networks, losses and the swap itself.

    Every family states `family`, `Config`, `needs` and `swap`; whoever learns anything, `phases`
    and `losses`. `mode`, `memory_format` and `paced` have defaults. What only some families do
    (look at frozen networks, draw pairs, swap back, ...) is a protocol each in
    `models.swappers.abilities`.

    Attributes:
        family: name of the folder in models/swappers.
        mode: "swap" keeps the target's frame; "reenact" makes the source perform the driver.
        Config: the family's settings, a section of params.yaml.
        needs: columns of the shards that `losses` and `swap` read, beside "crop".
        memory_format: how weights of convolutions lie in memory (models/layers/memory_format.py).
        paced: phases or losses follow the share of the budget that is done (`plan_images`), so that
            another budget is another training.
        plan_images: budget of the training, set before `phases`; 0 where there is none.
        images_seen: images of the training so far, set before `losses`.
    """

    family: ClassVar[str]
    mode: ClassVar[Literal["swap", "reenact"]] = "swap"
    Config: ClassVar[type[SwapperConfig]]
    needs: ClassVar[tuple[str, ...]] = ()
    memory_format: ClassVar[torch.memory_format] = torch.channels_last
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

    def phases(self) -> list[Phase]:
        """Phases in the order of a step; empty for a family without training."""
        return []

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Named scalar losses of one step; the loop minimises their sum.

        The batches are augmented: "crop" is what the network should return, "warped" what it
        sees, both (B,3,S,S) in [-1,1].
        """
        raise TypeError(f"{self.family} has no phase {phase}")

    @abstractmethod
    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Put the source's face on the target's crops.

        Args:
            target: crops to replace, with the columns in `needs`.
            source: for a `GivenSource`, clean crops of the source identity with the columns in
                `needs`, the same for every batch; its length is not that of `target`.

        Returns:
            Image (B,3,S,S) in [-1,1] and mask (B,1,S,S) in [0,1], 1 = replace.
        """
