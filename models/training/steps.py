"""One step of one phase: losses, gradients summed in a fixed order, the optimiser."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Plan
from models.batch import Batch
from models.crew import Crew
from models.layers import random_numbers
from models.swappers.abilities import Rehearses, Remembers
from models.swappers.base import Phase, Swapper
from models.training.loaders import Choices, Loader
from models.training.non_finite import check_gradient, check_losses, norm_of
from models.training.optimisers import move, scale
from models.training.process_group import ProcessGroup
from models.training.seeds import seed_of

Parameters = list[torch.nn.Parameter]


@dataclass(frozen=True)
class StepContext:
    """What every step works with.

    Attributes:
        swapper: the family's networks.
        loader:crops of the source and of the target.
        plan: batch sizes, precision, seed.
        group: the group of workers.
        crew: threads that compute parts of a batch side by side.
    """

    swapper: Swapper
    loader: Loader
    plan: Plan
    group: ProcessGroup
    crew: Crew = field(default_factory=Crew)

    def losses(self, phase: Phase, choices: Choices) -> dict[str, Tensor]:
        """Named losses of a phase on some crops of both pools."""
        source, target, precision = self._given(phase, choices)
        with precision:
            return self.swapper.losses(phase.name, source, target)

    def rehearse(self, phase: Phase, choices: Choices) -> None:
        """Pass some crops of both pools through the networks of a phase."""
        family = self.swapper
        passing = family.rehearse if isinstance(family, Rehearses) else family.losses
        source, target, precision = self._given(phase, choices)
        with precision:
            passing(phase.name, source, target)

    def _given(self, phase: Phase, choices: Choices) -> tuple[Batch, Batch, torch.autocast]:
        device = phase.parameters[0].device
        half = self.plan.precision == "bf16"
        # Rounded weights that torch keeps for all threads would join the graphs of several parts,
        # and gradients would add up in the order of whoever rounded them first.
        caching = device.type != "cpu"
        autocast = torch.autocast(device.type, torch.bfloat16, half, caching)
        return *self.loader.batches(choices, device), autocast

    def select(self, phase: Phase) -> None:
        """Let gradients reach the phase's parameters and no others."""
        chosen = {id(p) for p in phase.parameters}
        for parameter in self.swapper.parameters():
            parameter.requires_grad_(id(parameter) in chosen)

    def parts(self, choices: Choices) -> Iterator[tuple[int, Choices]]:
        """The parts of a batch that are this worker's, by number."""
        size = self.plan.batch_images // self.plan.micro_batches
        for part in range(self.group.rank, self.plan.micro_batches, self.group.size):
            ends = (part * size, (part + 1) * size)
            yield part, (choices[0].part(*ends), choices[1].part(*ends))


def _flat(dense: Tensor) -> Tensor:
    """All numbers of a tensor in the order in which they lie in memory."""
    return dense.as_strided((dense.numel(),), (1,))


def _spread(flat: Tensor, parameters: Parameters) -> None:
    """Gradients out of one vector, in the parameters' own order: optimisers go through memory."""
    begin = 0
    for parameter in parameters:
        parameter.grad = flat.as_strided(parameter.shape, parameter.stride(), begin)
        begin += parameter.numel()


@dataclass(frozen=True)
class Part:
    """What a part of a batch gives.

    Attributes:
        means: each loss, () by name.
        made: what the family leaves to later steps.
        gradients: of the phase's parameters.
    """

    means: dict[str, Tensor]
    made: Batch
    gradients: list[Tensor] = field(default_factory=list)


def _part_losses(
    context: StepContext, phase: Phase, choices: Choices, place: tuple[int, int]
) -> tuple[Tensor, Part]:
    """What to go down by, and the losses of a part of a step.

    Raises:
        ModelError: the family draws where its numbers depend on what runs beside it.
    """
    # Families that draw in `losses` (dropout, noise) draw the same wherever the part runs.
    before = torch.get_rng_state()
    with random_numbers.seeded(seed_of(context.plan.seed, phase.name, *place)):
        losses = context.losses(phase, choices)
    if not context.plan.compile and not torch.equal(before, torch.get_rng_state()):
        problem = "its losses draw from torch's own generator, which all parts of a batch share"
        raise ModelError(
            context.swapper.family, problem, "draw by models.layers.random_numbers instead"
        )
    total = torch.stack(list(losses.values())).sum() / context.plan.micro_batches
    means = {name: value.detach().float() for name, value in losses.items()}
    family = context.swapper
    return total, Part(means, family.made() if isinstance(family, Remembers) else {})


def _laid(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    """A gradient in its parameter's order in memory, as torch itself keeps it."""
    if gradient is None:
        return torch.zeros_like(parameter)
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _in_turn(context: StepContext, phase: Phase, choices: Choices, step: int) -> dict[int, Part]:
    """All parts one after the other; each adds to the gradients, which are held but once."""
    found = {}
    for part, chosen in context.parts(choices):
        torch.manual_seed(seed_of(context.plan.seed, phase.name, step, part))  # what a GPU draws
        total, found[part] = _part_losses(context, phase, chosen, (step, part))
        torch.autograd.backward(total)
    return found


def _side_by_side(
    context: StepContext, phase: Phase, choices: Choices, step: int
) -> Iterator[tuple[int, Part]]:
    """This worker's parts, in their order, each with gradients of its own."""

    def work(given: tuple[int, Choices]) -> tuple[int, Part]:
        part, chosen = given
        # What a family notes on itself during its losses stays with the part.
        own = replace(context, swapper=copy.copy(context.swapper))
        total, found = _part_losses(own, phase, chosen, (step, part))
        # torch.autograd.backward would add to gradients that other parts add to meanwhile.
        grads = torch.autograd.grad(total, phase.parameters, allow_unused=True)
        laid = [_laid(g, p) for g, p in zip(grads, phase.parameters, strict=True)]
        return part, replace(found, gradients=laid)

    return context.crew.map(work, context.parts(choices))


@torch.no_grad()
def _add_up(parts: Iterator[tuple[int, Part]], phase: Phase) -> dict[int, Part]:
    """Sum the parts' gradients as they come, which is in their order."""
    found, total = {}, list[Tensor]()
    for number, part in parts:
        if total:
            torch._foreach_add_(total, part.gradients)
        else:
            total = part.gradients
        found[number] = replace(part, gradients=[])
    for parameter, gradient in zip(phase.parameters, total, strict=True):
        parameter.grad = gradient
    return found


def gradients(
    context: StepContext,
    phase: Phase,
    choices: Choices,
    step: int,
    made: dict[int, Batch] | None = None,
) -> dict[str, Tensor]:
    """Fill the gradients of the phase's parameters; give the mean () of each loss over the batch.

    The batch falls into `micro_batches` parts whatever the number of workers and threads; part k
    belongs to worker k modulo the number of workers. Every worker then adds up the parts'
    gradients in their order: the sum, to the last bit, does not depend on who computed what.
    `made`, where it is given, receives what the family leaves to later steps, by this worker's
    parts.
    """
    if context.group.size > 1:
        parts = dict(_side_by_side(context, phase, choices, step))
        own = {number: torch.cat([_flat(g) for g in p.gradients]) for number, p in parts.items()}
        count = sum(p.numel() for p in phase.parameters)
        _spread(_sum_in_order(own, count, context), phase.parameters)
    elif context.crew.size > 1:
        parts = _add_up(_side_by_side(context, phase, choices, step), phase)
    else:
        parts = _in_turn(context, phase, choices, step)
    if made is not None:
        made |= {number: part.made for number, part in parts.items()}
    names = list(next(iter(parts.values())).means)
    means = {number: torch.stack(list(part.means.values())) for number, part in parts.items()}
    mean = _sum_in_order(means, len(names), context) / context.plan.micro_batches
    return dict(zip(names, mean.unbind(0), strict=True))


def _sum_in_order(own: dict[int, Tensor], count: int, context: StepContext) -> Tensor:
    """Sum over the parts of vectors (count,), each known to the worker that owns the part."""
    device = next(iter(own.values())).device
    total = torch.zeros(0)
    for part in range(context.plan.micro_batches):
        values = own.pop(part, None)
        if values is None:
            values = torch.empty(count, device=device)
        context.group.broadcast(values, part % context.group.size)
        total = values if part == 0 else total.add_(values)
    return total


def _keep_in_order(own: dict[int, Batch], phase: Phase, context: StepContext) -> None:
    """Let every worker keep what the losses of each part have made."""
    like, family = next(iter(own.values())), context.swapper
    if not like or not isinstance(family, Remembers):
        return
    for part in range(context.plan.micro_batches):
        made = own.pop(part, None) or {n: torch.empty_like(t) for n, t in like.items()}
        for name in sorted(made):
            context.group.broadcast(made[name], part % context.group.size)
        family.keep(phase.name, made)


def take_step(
    context: StepContext,
    phase: Phase,
    optimiser: Optimizer,
    choices: Choices,
    step: int,
    *,
    images: int | None = None,
) -> dict[str, float]:
    """Move the phase's parameters once, and no others; give the losses before the step.

    Args:
        context: what to work with.
        phase: whose step.
        optimiser: of the phase.
        choices: crops of both sides.
        step: number of the step, which seeds what is drawn.
        images: seen so far, for schedules; None: those of `step` steps of this plan.

    Raises:
        NotFiniteError: a loss or gradient that is no finite number; the phase's weights are as
            before the step.
    """
    context.select(phase)
    optimiser.zero_grad(set_to_none=True)
    made: dict[int, Batch] = {}
    losses = gradients(context, phase, choices, step, made)
    norm = norm_of(phase.parameters)
    # All numbers of the step at once: to ask for them is to wait for the device.
    *found, size = torch.stack([*losses.values(), norm.to(next(iter(losses.values())))]).tolist()
    values = dict(zip(losses, found, strict=True))
    check_losses(phase.name, values)
    check_gradient(phase.name, size)
    limit = phase.clip_gradient or context.plan.clip_gradient
    if limit is not None:
        torch.nn.utils.clip_grads_with_norm_(phase.parameters, limit, norm)
    if phase.rate is not None:
        seen = step * context.plan.step_images if images is None else images
        scale(optimiser, phase.rate(seen))
    move(optimiser, context.crew)
    _keep_in_order(made, phase, context)
    return values
