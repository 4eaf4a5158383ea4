"""What there is to choose from: every family with its mode, needs, size and appetite for memory.

    python -m models.families --batch 16 --parts 2

prints a line of JSON per family for `likeness families`, each as soon as it is known. The memory of
a step is counted on torch's meta device, where tensors have shapes and no content: nothing is
computed, and the figures are those of float32. What a family makes of the numbers themselves (where
a mask is, which lines are drawn) is that of zeros.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from likeness.contracts.commands import positive
from likeness.contracts.params.train import Plan
from models.batch import Batch
from models.layers.mesh_topology import canonical_vertices
from models.layers.recogniser import SIDE_PX, TEMPLATE, Recogniser
from models.swappers import registry
from models.swappers.abilities import Equips, sampling_of, source_images, takes_pools
from models.swappers.base import Phase, Swapper
from models.training.augment import GRID, Draw
from models.training.crops import NUMBERS
from models.training.dataset import Choice
from models.training.footprint import measure
from models.training.loaders import Choices
from models.training.process_group import SingleProcess
from models.training.steps import StepContext

CPU, META = torch.device("cpu"), torch.device("meta")


@dataclass(frozen=True)
class Drawn:
    """Batches of plain crops with a face's points; implements `models.training.loaders.Loader`."""

    swapper: Swapper

    @property
    def bytes(self) -> int:
        """Nothing waits in memory."""
        return 0

    def to(self, device: torch.device) -> Drawn:
        """See `Loader`; batches are drawn where torch draws."""
        return self

    def choose(self, plan: Plan, place: int) -> Choices:
        """As many crops as a step has."""
        count = plan.batch_images
        still = (torch.zeros(count, 2), torch.zeros(count, 2), torch.ones(count))
        choice = Choice(torch.arange(count), Draw(*still, torch.zeros(count, 2, GRID, GRID)))
        return choice, choice

    def batches(self, choices: Choices, device: torch.device) -> tuple[Batch, Batch]:
        """See `Loader`."""
        first, second = (self._batch(len(choice.index), device) for choice in choices)
        return first, second

    def _batch(self, count: int, device: torch.device) -> Batch:
        side, half = self.swapper.size_px, self.swapper.size_px / 2
        mesh = canonical_vertices() * (0.3 * side / 7.7) + torch.tensor([half, half, 0.0])
        known = {
            "crop": torch.zeros(3, side, side),
            "warped": torch.zeros(3, side, side),
            "mask": torch.ones(1, side, side),
            "landmarks_468": mesh,
            "landmarks_5": torch.tensor(TEMPLATE) * (side / SIDE_PX),
            "same": torch.tensor(1.0),
            "identity_index": torch.tensor(0),
            **{name: torch.zeros(shape) for name, shape in NUMBERS.items()},
        }
        wanted = ["crop", "warped", *self.swapper.needs]
        wanted += ["same", "identity_index"] if sampling_of(self.swapper) else []
        return {name: torch.stack([known[name]] * count).to(device) for name in wanted}


class Shapes(StepContext):
    """Passes shapes alone through the networks: the meta device knows no autocast."""

    def losses(self, phase: Phase, choices: Choices) -> dict[str, Tensor]:
        """Losses without content."""
        return self.swapper.losses(phase.name, *self.loader.batches(choices, META))


class AsOfZeros(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """While it lasts, what depends on the numbers in a tensor without content is that of zeros."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute shapes; where torch needs numbers for them, compute on zeros."""
        kwargs = kwargs or {}
        try:
            return func(*args, **kwargs)
        except (NotImplementedError, RuntimeError):  # which of the two differs by operator
            args, kwargs = tree_map_only(Tensor, _zeros, (args, kwargs))
            found = func(*args, **{**kwargs, **({"device": CPU} if "device" in kwargs else {})})
            return tree_map_only(Tensor, lambda made: made.to(META), found)


def _zeros(tensor: Tensor) -> Tensor:
    """The content of a tensor, zeros where it has none."""
    return torch.zeros_like(tensor, device=CPU) if tensor.is_meta else tensor


class Unweighted:
    """Frozen networks of the right shapes; a `models.swappers.abilities.Frozen`."""

    def embedder(self) -> Recogniser:
        """The recogniser."""
        return Recogniser()

    def perceptual(self) -> Recogniser:
        """The network that params.yaml chooses by default."""
        return Recogniser(saved=False)


def step_bytes(family: str, plan: Plan, settings: dict[str, Any] | None = None) -> int | None:
    """Memory of a training step of a family, by default at its default settings, float32.

    Activations of a part of the batch, weights, gradients and the optimiser's moments; None for a
    family without training.
    """
    kind = registry.load_class(family)
    if kind.phases is Swapper.phases:
        return None
    with META:
        swapper = registry.build(family, settings or {}).train()
        if isinstance(swapper, Equips):
            swapper.equip(Unweighted())
    swapper.plan_images = plan.images
    context = Shapes(swapper, Drawn(swapper), plan, SingleProcess())
    with AsOfZeros():
        found = measure(context, swapper.phases())
    return found.activations + found.weights


def describe(family: str, plan: Plan) -> dict[str, Any]:
    """One row: what the family states of itself, and what follows at its default settings."""
    with registry.Unfilled():
        swapper = registry.build(family, {})
    return {
        "family": family,
        "mode": swapper.mode,
        "for": "any face" if takes_pools(swapper) else "a pair",
        "needs": list(swapper.needs),
        "source_images": source_images(swapper),
        "size_px": swapper.size_px,
        "parameters": sum(p.numel() for p in swapper.parameters()),
        "step_bytes": step_bytes(family, plan),
    }


def main() -> None:
    """Print all families, a line of JSON each."""
    parser = argparse.ArgumentParser(prog="python -m models.families", description=__doc__)
    parser.add_argument("--batch", type=positive, default=16, help="crops of each side per step")
    parser.add_argument("--parts", type=positive, default=2, help="parts of a batch")
    given = parser.parse_args()
    plan = Plan(batch_images=given.batch, micro_batches=given.parts)
    for family in registry.names():
        print(json.dumps(describe(family, plan)), flush=True)


if __name__ == "__main__":
    main()
