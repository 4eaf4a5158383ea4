"""What happens when a loss or a gradient is no finite number: stop, keep what is good, say so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import Parameter

from likeness.contracts.errors import ModelError
from models.training import checkpoint

if TYPE_CHECKING:
    from models.training.run import Run


class NotFiniteError(ModelError):
    """A step that must not be taken; the phase's weights are as before it.

    Args:
        phase: whose step.
        problem: "loss source.l1 is not finite", ...
    """

    def __init__(self, phase: str, problem: str) -> None:
        self.phase = phase
        super().__init__(f"phase {phase}", problem, "lower learning_rate")


def check_losses(phase: str, values: dict[str, float]) -> None:
    """Look at the losses of a step.

    Raises:
        NotFiniteError: one of them is infinite or no number.
    """
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise NotFiniteError(phase, f"loss {', '.join(bad)} is not finite")


@torch.no_grad()
def norm_of(parameters: list[Parameter]) -> Tensor:
    """Norm () of a phase's whole gradient, where the gradient lies."""
    gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def check_gradient(phase: str, norm: float) -> None:
    """Look at the norm of a phase's whole gradient.

    Raises:
        NotFiniteError: it is infinite or no number, though the losses are finite.
    """
    if not math.isfinite(norm):
        raise NotFiniteError(phase, f"norm of the gradient is {norm}")


def explain(error: NotFiniteError, run: Run, *, saving: bool) -> ModelError:
    """The error for a person: phase, step, loss, where the last good weights are, what helps.

    Where the phase is the step's first one, nothing has moved since the step before: that moment
    is saved beside the last checkpoint. The same settings come to the same place again; others go
    on from there.

    Args:
        saving: whether this process writes checkpoints.
    """
    from models.training.run import active

    if saving and error.phase == active(run.phases, run.images)[0].name:
        run.save(keep_older=True)
    kept = checkpoint.folders(run.job.state)
    where = f"the last good weights are in {kept[-1]}" if kept else "no weights were saved yet"
    advice = (
        "lower learning_rate (`likeness train MODEL --find-rate` suggests one), set "
        "`train.clip_gradient` or `train.precision: float32`, then run `dvc repro`: other "
        f"settings go on from there, the same ones end here again; {where}"
    )
    subject = f"{run.job.model}, phase {error.phase}, step {run.progress.step}"
    return ModelError(subject, error.problem, advice.replace("MODEL", run.job.model))
