"""The model as live runs it: in torch or in ONNX Runtime, whichever is faster on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from apps.live.request import Runtime
from likeness.contracts import environment
from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.conversion import device_of, swap_batch
from models.swappers.base import Swapper

WARM, TIMED = 2, 5
"""Calls before a runtime is timed, and calls of which the shortest counts."""


class Runner(Protocol):
    """Puts one batch through a model."""

    @property
    def name(self) -> str:
        """Of the runtime, for people."""

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Image (B,3,S,S) in [-1,1] and mask (B,1,S,S) in [0,1], float32 on the CPU."""


class TorchRunner:
    """Torch, as stage `convert` runs it.

    Args:
        swapper: in eval mode (`models.conversion.load_swapper`).
        precision: bf16 or float32.
        source: crops of the source, for families that are given some.
    """

    def __init__(self, swapper: Swapper, precision: str, source: Batch | None = None) -> None:
        self._swapper, self._precision, self._source = swapper, precision, source
        self._own_threads = False
        # As `swap_batch` has it: bf16 is for the layers of networks.
        computed = precision if any(True for _ in swapper.parameters()) else "float32"
        self.name = f"torch {computed} on {device_of(swapper)}"

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Run; see `Runner`."""
        if not self._own_threads:
            # OpenMP keeps the number of threads per calling thread.
            torch.set_num_threads(environment.threads())
            self._own_threads = True
        return swap_batch(self._swapper, batch, self._precision, self._source)

    def arrange(self, layout: torch.memory_format) -> None:
        """Store the weights of convolutions in this order of memory."""
        self._swapper.to(memory_format=layout)  # type: ignore[call-overload]  # torch's own stub lacks it


class Timed(NamedTuple):
    """A runtime and its shortest time for one crop."""

    runner: Runner
    milliseconds: float


def timed(runner: Runner, batch: Batch) -> Timed:
    """Warm up, then time."""
    for _ in range(WARM):
        runner(batch)
    spent = []
    for _ in range(TIMED):
        began = time.perf_counter()
        runner(batch)
        spent.append(time.perf_counter() - began)
    return Timed(runner, 1000 * min(spent))


def settled(runner: TorchRunner, batch: Batch) -> Timed:
    """The torch runner in the order of memory that is faster here."""
    layouts = (torch.contiguous_format, torch.channels_last)
    found = []
    for layout in layouts:
        runner.arrange(layout)
        found.append(timed(runner, batch))
    best = min(range(len(layouts)), key=lambda index: found[index].milliseconds)
    runner.arrange(layouts[best])
    return found[best]


def choose(
    runtime: Runtime,
    runner: TorchRunner,
    exported: Callable[[], Runner],
    batch: Batch,
    say: Callable[[str], None],
) -> Runner:
    """The runtime asked for; for "auto" the faster one, by a short trial with `batch`.

    Args:
        runtime: what was asked for.
        runner: the model in torch.
        exported: makes the runner in ONNX Runtime; asked only where it is needed.
        batch: one crop as the family gets it.
        say: tells a person what was found.

    Raises:
        ModelError: "onnx" was asked for and the family cannot be exported.
    """
    if runtime == "onnx":
        return exported()
    ours = settled(runner, batch)
    if runtime == "torch":
        say(f"{ours.runner.name}: {ours.milliseconds:.0f} ms per crop")
        return ours.runner
    try:
        other = timed(exported(), batch)
    except ModelError:  # why is told by `likeness export`; here it only means that torch runs it
        say(f"{ours.runner.name}: {ours.milliseconds:.0f} ms per crop")
        return ours.runner
    best = min(ours, other, key=lambda one: one.milliseconds)
    times = ", ".join(f"{one.runner.name} {one.milliseconds:.0f} ms" for one in (ours, other))
    say(f"{times}: {best.runner.name}")
    return best.runner


def as_pixels(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(3,S,S) in [-1,1] -> uint8 RGB (S,S,3), rounded."""
    scaled = np.rint((np.clip(image, -1, 1) + 1) * np.float32(127.5)).astype(np.uint8)
    return np.ascontiguousarray(scaled.transpose(1, 2, 0))
