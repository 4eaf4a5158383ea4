"""What there is to choose from: every family with its mode, needs, size and appetite for memory.

    python -m models.families --batch 16 --parts 2

prints JSON for `likeness families`. Networks are built and rehearsed on tensors without content
(torch's fake tensors), so that 82 million weights and the activations of a step cost nothing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likeness.contracts.commands import positive
from models.layers.recogniser import Recogniser
from models.swappers import registry
from models.swappers.base import Batch, Swapper
from models.training.augment import GRID, Draw
from models.training.batches import Choice, Choices
from models.training.crops import NUMBERS, POINTS
from models.training.exchange import Alone
from models.training.footprint import measure
from models.training.plan import Plan
from models.training.steps import Bench

MASK_COLUMN = "mask"


@dataclass(frozen=True)
class Hollow:
    """Batches of the right shapes that hold nothing; implements `models.training.batches.Sides`."""

    swapper: Swapper

    @property
    def bytes(self) -> int:
        """Nothing waits in memory."""
        return 0

    def choose(self, plan: Plan, place: int) -> Choices:
        """As many crops as a step has."""
        count = plan.batch_images
        numbers = Draw(*(torch.zeros(count, 2) for _ in range(2)), torch.ones(count),
                       torch.zeros(count, 2, GRID, GRID))  # fmt: skip
        choice = Choice(torch.arange(count), numbers)
        return choice, choice

    def batches(self, choices: Choices, device: torch.device) -> tuple[Batch, Batch]:
        """See `Sides`."""
        return self._batch(len(choices[0].index)), self._batch(len(choices[1].index))

    def _batch(self, count: int) -> Batch:
        side = self.swapper.size_px
        batch: dict[str, Tensor] = {n: torch.zeros(count, 3, side, side) for n in ("crop", "warped")}
        for name in self.swapper.needs:
            if name == MASK_COLUMN:
                batch[name] = torch.zeros(count, 1, side, side)
            else:
                batch[name] = torch.zeros(count, *(POINTS | NUMBERS)[name])
        if self.swapper.sampling_of() is not None:
            batch["same"] = torch.zeros(count)
            batch["identity_index"] = torch.zeros(count, dtype=torch.int64)
        return batch


class Unweighted:
    """Frozen networks of the right shapes; a `models.swappers.base.Frozen`."""

    def embedder(self) -> Recogniser:
        """The recogniser."""
        return Recogniser()

    def perceptual(self) -> Recogniser:
        """The network that params.yaml chooses by default."""
        return Recogniser(saved=False)


def step_bytes(swapper: Swapper, plan: Plan) -> int:
    """Memory of a training step: activations of a part of the batch, weights, gradients, moments."""
    swapper.train().equip(Unweighted())
    swapper.plan_images = plan.images
    phases = swapper.phases()
    found = measure(Bench(swapper, Hollow(swapper), plan, Alone()), phases)
    return found.activations + found.weights


def describe(family: str, plan: Plan) -> dict[str, Any]:
    """One row: what the family states of itself, and what follows at its default settings."""
    kind = registry.load_class(family)
    with torch.device("meta"):
        swapper = registry.build(family, {})
        learned = kind.phases is not Swapper.phases
        memory = step_bytes(swapper, plan) if learned else None
    sampling = swapper.sampling_of()
    return {
        "family": family,
        "mode": swapper.mode,
        "for": "any face" if sampling else "a pair",
        "needs": list(swapper.needs),
        "source_images": swapper.source_images,
        "size_px": swapper.size_px,
        "parameters": sum(p.numel() for p in swapper.parameters()),
        "step_bytes": memory,
    }


def main() -> None:
    """Print all families as JSON."""
    parser = argparse.ArgumentParser(prog="python -m models.families", description=__doc__)
    parser.add_argument("--batch", type=positive, default=16, help="crops of each side per step")
    parser.add_argument("--parts", type=positive, default=2, help="parts of a batch")
    given = parser.parse_args()
    plan = Plan(batch_images=given.batch, micro_batches=given.parts)
    print(json.dumps([describe(family, plan) for family in registry.names()]))


if __name__ == "__main__":
    main()
