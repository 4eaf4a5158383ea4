"""One step of one phase: losses, gradients summed in a fixed order, the optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from models.swappers.base import Batch, Phase, Swapper
from models.training.batches import Choices, Sides
from models.training.exchange import Exchange
from models.training.guard import check_gradient, check_losses, norm_of
from models.training.optimisers import scale
from models.training.plan import Plan
from models.training.seeds import seed_of

Parameters = list[torch.nn.Parameter]


@dataclass(frozen=True)
class Bench:
    """What every step works with.

    Attributes:
        swapper: the family's networks.
        sides: crops of the source and of the target.
        plan: batch sizes, precision, seed.
        exchange: the group of workers.
    """

    swapper: Swapper
    sides: Sides
    plan: Plan
    exchange: Exchange

    def losses(self, phase: Phase, choices: Choices) -> dict[str, Tensor]:
        """Named losses of a phase on some crops of both pools."""
        source, target, precision = self._given(phase, choices)
        with precision:
            return self.swapper.losses(phase.name, source, target)

    def rehearse(self, phase: Phase, choices: Choices) -> None:
        """Pass some crops of both pools through the networks of a phase."""
        source, target, precision = self._given(phase, choices)
        with precision:
            self.swapper.rehearse(phase.name, source, target)

    def _given(self, phase: Phase, choices: Choices) -> tuple[Batch, Batch, torch.autocast]:
        device = phase.parameters[0].device
        half = self.plan.precision == "bf16"
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=half)
        return *self.sides.batches(choices, device), autocast

    def select(self, phase: Phase) -> None:
        """Let gradients reach the phase's parameters and no others."""
        chosen = {id(p) for p in phase.parameters}
        for parameter in self.swapper.parameters():
            parameter.requires_grad_(id(parameter) in chosen)

    def parts(self, choices: Choices) -> Iterator[tuple[int, Choices]]:
        """The parts of a batch that are this worker's, by number."""
        size = self.plan.batch_images // self.plan.micro_batches
        for part in range(self.exchange.rank, self.plan.micro_batches, self.exchange.size):
            ends = (part * size, (part + 1) * size)
            yield part, (choices[0].part(*ends), choices[1].part(*ends))


def _gradients(parameters: Parameters) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]


def _flat(dense: Tensor) -> Tensor:
    """All numbers of a tensor in the order in which they lie in memory."""
    return dense.as_strided((dense.numel(),), (1,))


def _spread(flat: Tensor, parameters: Parameters) -> None:
    """Gradients out of one vector, in the parameters' own order: optimisers go through memory."""
    begin = 0
    for parameter in parameters:
        parameter.grad = flat.as_strided(parameter.shape, parameter.stride(), begin)
        begin += parameter.numel()


def gradients(
    bench: Bench,
    phase: Phase,
    choices: Choices,
    step: int,
    made: dict[int, Batch] | None = None,
) -> dict[str, Tensor]:
    """Fill the gradients of the phase's parameters; give the mean () of each loss over the batch.

    The batch falls into `micro_batches` parts whatever the number of workers; part k belongs to
    worker k modulo that number. Every worker then adds up the parts' gradients in their order:
    the sum, to the last bit, does not depend on who computed what. `made`, where it is given,
    receives what the family leaves to later steps, by this worker's parts.
    """
    plan, shared = bench.plan, bench.exchange.size > 1
    own: dict[int, Tensor] = {}
    means: dict[int, Tensor] = {}
    names: list[str] = []
    for part, chosen in bench.parts(choices):
        # Families that draw in `losses` (dropout, noise) draw the same wherever the part runs.
        torch.manual_seed(seed_of(plan.seed, phase.name, step, part))
        losses = bench.losses(phase, chosen)
        names = list(losses)
        total = torch.stack(list(losses.values())).sum() / plan.micro_batches
        torch.autograd.backward(total)
        means[part] = torch.stack([value.detach().float() for value in losses.values()])
        if made is not None:
            made[part] = bench.swapper.made()
        if shared:
            own[part] = torch.cat([_flat(g) for g in _gradients(phase.parameters)])
            for parameter in phase.parameters:
                parameter.grad = None
    if shared:
        count = sum(p.numel() for p in phase.parameters)
        _spread(_sum_in_order(own, count, bench), phase.parameters)
    mean = _sum_in_order(means, len(names), bench) / plan.micro_batches
    return dict(zip(names, mean.unbind(0), strict=True))


def _sum_in_order(own: dict[int, Tensor], count: int, bench: Bench) -> Tensor:
    """Sum over the parts of vectors (count,), each known to the worker that owns the part."""
    device = next(iter(own.values())).device
    total = torch.zeros(0)
    for part in range(bench.plan.micro_batches):
        values = own.pop(part, None)
        if values is None:
            values = torch.empty(count, device=device)
        bench.exchange.share(values, part % bench.exchange.size)
        total = values if part == 0 else total.add_(values)
    return total


def _keep_in_order(own: dict[int, Batch], phase: Phase, bench: Bench) -> None:
    """Let every worker keep what the losses of each part have made."""
    like = next(iter(own.values()))
    if not like:
        return
    for part in range(bench.plan.micro_batches):
        made = own.pop(part, None) or {n: torch.empty_like(t) for n, t in like.items()}
        for name in sorted(made):
            bench.exchange.share(made[name], part % bench.exchange.size)
        bench.swapper.keep(phase.name, made)


def take_step(
    bench: Bench, phase: Phase, optimiser: Optimizer, choices: Choices, step: int
) -> dict[str, float]:
    """Move the phase's parameters once, and no others; give the losses before the step.

    Raises:
        NotFiniteError: a loss or gradient that is no finite number; the phase's weights are as
            before the step.
    """
    bench.select(phase)
    optimiser.zero_grad(set_to_none=True)
    made: dict[int, Batch] = {}
    losses = gradients(bench, phase, choices, step, made)
    norm = norm_of(phase.parameters)
    # All numbers of the step at once: to ask for them is to wait for the device.
    *found, size = torch.stack([*losses.values(), norm.to(next(iter(losses.values())))]).tolist()
    values = dict(zip(losses, found, strict=True))
    check_losses(phase.name, values)
    check_gradient(phase.name, size)
    limit = phase.clip_gradient or bench.plan.clip_gradient
    if limit is not None:
        torch.nn.utils.clip_grads_with_norm_(phase.parameters, limit, norm)
    if phase.rate is not None:
        scale(optimiser, phase.rate(step * bench.plan.step_images))
    optimiser.step()
    _keep_in_order(made, phase, bench)
    return values
