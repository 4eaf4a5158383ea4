"""How much memory a training takes, measured on one part of a batch before it begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.swappers.base import Phase
from models.training.optimisers import MOMENTS
from models.training.steps import StepContext

GIB = 2**30


@dataclass(frozen=True)
class Footprint:
    """Bytes by what they are for.

    Attributes:
        activations: what the backward pass of one part of a batch needs, of the largest phase.
        weights: parameters and buffers, gradients of the largest phase, optimisers' moments.
        images: pairs (or crops of each side) in that part.
    """

    activations: int
    weights: int
    images: int

    def __str__(self) -> str:
        return (
            f"{_size(self.activations)} for activations of {self.images} images a side, "
            f"{_size(self.weights)} for weights, gradients and optimiser"
        )


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB // 10 else f"{count / 2**20:.1f} MiB"


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def saved_bytes(context: StepContext, phase: Phase, images: int) -> int:
    """Bytes of all tensors that autograd keeps for the backward pass of `images` a side.

    Each storage counts once; parameters and buffers do not. Crops are those of no step, and no
    gradient is left behind.
    """
    held = (*context.swapper.parameters(), *context.swapper.buffers())
    own = {tensor.untyped_storage()._cdata for tensor in held}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage.nbytes()
        return tensor

    def give(tensor: Tensor) -> Tensor:
        return tensor

    source, target = context.loader.choose(context.plan, -1)
    choices = (source.part(0, images), target.part(0, images))
    with torch.autograd.graph.saved_tensors_hooks(keep, give):
        losses = context.losses(phase, choices)
    del losses
    return sum(found.values())


def measure(context: StepContext, phases: list[Phase]) -> Footprint:
    """The footprint of a training with these phases; takes a forward pass of each."""
    swapper, plan = context.swapper, context.plan
    images = plan.batch_images // plan.micro_batches
    activations = 0
    for phase in phases:
        context.select(phase)
        activations = max(activations, saved_bytes(context, phase, images))
    held = sum(_bytes(tensor) for tensor in (*swapper.parameters(), *swapper.buffers()))
    gradients = [sum(map(_bytes, phase.parameters)) for phase in phases]
    moments = [MOMENTS[p.optimiser] * size for p, size in zip(phases, gradients, strict=True)]
    return Footprint(activations, held + max(gradients) + sum(moments), images)
