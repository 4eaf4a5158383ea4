"""Random numbers of a training step's part: from a generator of its own, whatever runs beside it.

The parts of a batch are computed side by side on threads (models/crew.py). torch's own
generator is one for the whole process, so that a part would draw what another one left of it.
Layers, losses and families draw here instead. Within `seeded` the numbers are those that
torch.manual_seed would give; outside of it they come from torch's own generator.
Everything is drawn on the CPU: callers send it where they need it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

_HERE = threading.local()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """While it lasts, this thread draws from a generator that begins with `seed`."""
    before = source()
    _HERE.generator = torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _HERE.generator = before


def source() -> torch.Generator | None:
    """The generator of this thread; None for torch's own."""
    found: torch.Generator | None = getattr(_HERE, "generator", None)
    return found


def rand(*size: int) -> Tensor:
    """Uniform in [0,1)."""
    return torch.rand(*size, generator=source())


def randn(*size: int) -> Tensor:
    """Normal, mean 0, deviation 1."""
    return torch.randn(*size, generator=source())


def uniform(low: float, high: float, *size: int) -> Tensor:
    """Uniform in [low, high)."""
    return torch.empty(*size).uniform_(low, high, generator=source())


def randint(high: int, size: tuple[int, ...]) -> Tensor:
    """int64, each of 0 to `high` - 1 equally often."""
    return torch.randint(high, size, generator=source())


def randperm(count: int) -> Tensor:
    """int64 (count,): the numbers below `count` in any order."""
    return torch.randperm(count, generator=source())


def beta(shape: float) -> Tensor:
    """() in [0,1] by the Beta distribution with both parameters `shape`."""
    return torch._sample_dirichlet(torch.tensor([shape, shape]), generator=source())[0]


class Dropout(nn.Dropout):
    """nn.Dropout; in a part of a step on a CPU it drops what this thread's generator says."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """Any shape -> the same; the kept values are scaled up in training."""
        if torch.compiler.is_compiling() or not self.training or input.device.type != "cpu":
            return functional.dropout(input, self.p, self.training)
        random = source()
        if random is None:
            return functional.dropout(input, self.p)
        kept = torch.empty_like(input).bernoulli_(1 - self.p, generator=random)
        return input * kept.div_(1 - self.p)
