"""Optimisers by name, and their state as plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from likeness.contracts.errors import ModelError
from models.crew import Crew
from models.swappers.base import Phase
from models.training.lr_dropout import STEP, AdaBelief, LearningRateDropout, RMSprop

FUSED = ("cpu", "cuda")
"""Devices on which torch updates all parameters in one pass over memory."""
BASE_RATE = "base_rate"
"""Key of a group's step size before any schedule."""


def _groups(phase: Phase) -> list[dict[str, Any]]:
    """Parameters by step size, in the order in which each size first appears."""
    factors = phase.factors or [1.0] * len(phase.parameters)
    groups: dict[float, list[Parameter]] = {}
    for parameter, factor in zip(phase.parameters, factors, strict=True):
        groups.setdefault(factor, []).append(parameter)
    rates = {factor: phase.learning_rate * factor for factor in groups}
    return [{"params": p, "lr": rates[f], BASE_RATE: rates[f]} for f, p in groups.items()]


def scale(optimiser: Optimizer, factor: float) -> None:
    """Set every step size to `factor` times the one that its phase began with."""
    for group in optimiser.param_groups:
        group["lr"] = group[BASE_RATE] * factor


def _fused(phase: Phase) -> bool:
    return all(p.device.type in FUSED for p in phase.parameters)


def _no_options(phase: Phase) -> None:
    if phase.options:
        raise ValueError(f"unknown {', '.join(sorted(phase.options))}; known: none")


def _adam(phase: Phase, seed: int) -> Optimizer:
    _no_options(phase)
    return torch.optim.Adam(_groups(phase), betas=phase.betas, fused=_fused(phase))


def _adamw(phase: Phase, seed: int) -> Optimizer:
    _no_options(phase)
    return torch.optim.AdamW(_groups(phase), betas=phase.betas, fused=_fused(phase))


def _dropping(kind: type[LearningRateDropout]) -> Callable[[Phase, int], Optimizer]:
    def build(phase: Phase, seed: int) -> Optimizer:
        return kind(_groups(phase), (seed, phase.name, "lr_dropout"), phase.options)

    return build


KNOWN: dict[str, Callable[[Phase, int], Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "adabelief": _dropping(AdaBelief),
    "rmsprop": _dropping(RMSprop),
}
"""Optimisers by name. `options` of a phase: those that models/training/lr_dropout.py lists;
Adam and AdamW have none, and alone read `betas`."""
ADAM = ("exp_avg", "exp_avg_sq")
"""What torch's Adam keeps of each parameter, beside its steps."""
MOMENTS = {"adam": 2, "adamw": 2, "adabelief": 2, "rmsprop": 1}
"""Numbers that each optimiser keeps per parameter."""


def make(phase: Phase, seed: int = 0) -> Optimizer:
    """The optimiser of a phase.

    Args:
        phase: names the optimiser, its parameters and settings.
        seed: of the training, for optimisers that draw (`lr_dropout`).

    Raises:
        ModelError: a name or an option that is not known.
    """
    if phase.optimiser not in KNOWN:
        known = ", ".join(KNOWN)
        raise ModelError(f"phase {phase.name}", f"unknown optimiser {phase.optimiser}", known)
    try:
        return KNOWN[phase.optimiser](phase, seed)
    except ValueError as error:
        subject = f"phase {phase.name}"
        raise ModelError(subject, f"{phase.optimiser}: {error}", "correct its options") from None


def _shares(optimiser: Optimizer, count: int) -> list[Optimizer]:
    """The optimiser as several, each for some of the parameters, all with its own state."""
    taken: list[set[int]] = [set() for _ in range(count)]
    sizes = [0] * count
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for parameter in sorted(parameters, key=lambda p: -int(p.numel())):
        least = sizes.index(min(sizes))
        taken[least].add(id(parameter))
        sizes[least] += parameter.numel()
    found = []
    for own in taken:
        share: Optimizer = object.__new__(type(optimiser))
        share.__dict__.update(optimiser.__dict__)
        share.param_groups = [
            {**group, "params": [p for p in group["params"] if id(p) in own]}
            for group in optimiser.param_groups
        ]
        found.append(share)
    return found


def move(optimiser: Optimizer, crew: Crew) -> None:
    """One step of all parameters, among the threads of a crew: each moves some of them whole."""
    if crew.size == 1:
        optimiser.step()
        return
    for _ in crew.map(lambda share: share.step(), _shares(optimiser, crew.size)):
        pass


def state_of(
    name: str, optimiser: Optimizer, names: Mapping[int, str] | None = None
) -> dict[str, Tensor]:
    """State as tensors, named "<phase>/<parameter>/<quantity>".

    Args:
        name: of the phase.
        optimiser: its.
        names: of parameters by their `id`; None numbers them.
    """
    found = {}
    for label, parameter in _labelled(optimiser, names):
        for quantity, value in optimiser.state.get(parameter, {}).items():
            if value is not None:
                found[f"{name}/{label}/{quantity}"] = torch.as_tensor(value)
    return found


def _labelled(optimiser: Optimizer, names: Mapping[int, str] | None) -> list[tuple[str, Parameter]]:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    return [(names[id(p)] if names else str(i), p) for i, p in enumerate(parameters)]


def _laid_like(value: Tensor, parameter: Parameter) -> Tensor:
    """`value` in the parameter's order in memory: fused optimisers go through both side by side."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _quantities(optimiser: Optimizer) -> set[str]:
    """What an optimiser keeps of each parameter."""
    return {STEP, *(optimiser.MOMENTS if isinstance(optimiser, LearningRateDropout) else ADAM)}


def restore(
    name: str,
    optimiser: Optimizer,
    state: Mapping[str, Tensor],
    names: Mapping[int, str] | None = None,
) -> int:
    """Put back what `state_of` gave, where it fits; how many parameters it was for.

    Fits: the same phase and parameter, all that this optimiser keeps, in the parameter's shape.
    """
    wanted, given = _quantities(optimiser), dict[int, dict[str, Tensor]]()
    for index, (label, parameter) in enumerate(_labelled(optimiser, names)):
        begin = f"{name}/{label}/"
        own = {quantity: state.get(begin + quantity) for quantity in wanted}
        fits = (v is not None and v.shape in {parameter.shape, ()} for v in own.values())
        if all(fits):
            given[index] = {q: _laid_like(v, parameter) for q, v in own.items() if v is not None}
    content: dict[str, Any] = optimiser.state_dict()
    content["state"] = given
    optimiser.load_state_dict(content)
    return len(given)
