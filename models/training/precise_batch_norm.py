"""Statistics of normalisation layers, taken over fixed crops (models/layers/norm.py says why)."""

from __future__ import annotations

import torch

from models.layers.norm import layers_of, settling
from models.swappers.base import Phase
from models.training.seeds import seed_of
from models.training.steps import StepContext

BATCHES = 16
"""Parts of batches whose moments are averaged; the error falls with their root."""


@torch.no_grad()
def precise_batch_norm(context: StepContext, phases: list[Phase]) -> None:
    """Settle the statistics of every `PreciseBatchNorm` for the weights as they are.

    The crops are the same each time and belong to no step; the batches have the size of a part
    of a step's, as in training. Families without such layers cost nothing.
    """
    swapper, plan = context.swapper, context.plan
    if not layers_of(swapper):
        return
    training, size = swapper.training, plan.batch_images // plan.micro_batches
    swapper.train()
    with settling(swapper):
        for phase in phases:
            for number in range(BATCHES):
                source, target = context.loader.choose(plan, -1 - number)
                torch.manual_seed(seed_of(plan.seed, "settle", phase.name, number))
                context.rehearse(phase, (source.part(0, size), target.part(0, size)))
    swapper.train(training)
