"""Training beside the way the founding code trains: images per second, and the loss curve.

Baseline: a plain float32 loop over the same network at the founding settings (64 px, width 128,
64 crops of each identity per step, 82 million parameters) that decodes the JPEGs of its batch
anew in every iteration and steps two Adams, each over the encoder and one decoder. Ours: the
steps of models/training with its defaults. Both count 128 images per iteration (64 crops of each
identity), get the same crops, the same augmentation and the same threads; iterations alternate,
and the shortest of each counts.

Each side works in a process of its own, so that the project's handling of freed memory serves
ours alone (likeness/contracts/memory.py): a plain loop has the C library's. Given it too, the
baseline takes 5.0 instead of 7 to 12 seconds per iteration, which varies with what the kernel
has at hand (measured; the shortest of several is the kindest).

The curves come from a narrower network (width 32, 16 crops of each identity), 60 iterations,
same weights and batches.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import multiprocessing
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.drawn import draw_shard
from benchmarks.harness import Result, rate, record, seconds
from likeness.contracts import environment
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params.train import Plan
from models.batch import Batch, as_image
from models.crew import crew_for
from models.layers.memory_format import lay_out
from models.losses.pixels import l1
from models.swappers.autoencoder.swapper import Autoencoder
from models.training import loop
from models.training.augment import positions, sample
from models.training.crops import decode
from models.training.dataset import Choice
from models.training.identities import Identities
from models.training.job import Job
from models.training.loaders import IndependentLoader, build_loader
from models.training.process_group import SingleProcess
from models.training.steps import StepContext

CURVE_STEPS, WARM_STEPS, TIMED_STEPS = 60, 3, 5
NARROW: dict[str, Any] = {"width": 32}
CPU = torch.device("cpu")


@dataclass
class Founding:
    """The baseline: two Adams, float32, every JPEG decoded again each time it is drawn."""

    swapper: Autoencoder
    loader: IndependentLoader
    files: tuple[list[bytes], list[bytes]]
    plan: Plan

    def __post_init__(self) -> None:
        net = self.swapper
        # torch's own order of weights: with channels last, float32 is a twentieth slower.
        lay_out(net, torch.contiguous_format)
        step = net.config.learning_rate
        self.adams = [
            torch.optim.Adam([*net.encoder.parameters(), *d.parameters()], step, betas=(0.5, 0.999))
            for d in (net.source_decoder, net.target_decoder)
        ]

    def load(self, side: int, choice: Choice) -> Batch:
        """Decode the crops of a batch and augment them."""
        files = [self.files[side][index] for index in choice.index.tolist()]
        pictures = as_image(decode(files))
        seen, wanted = positions(choice.numbers, self.swapper.coverage, self.swapper.size_px)
        return {"warped": sample(pictures, seen), "crop": sample(pictures, wanted)}

    def step(self, place: int) -> float:
        """One iteration; gives the sum of both losses."""
        net = self.swapper
        shift = net.target_mean - net.source_mean
        for adam in self.adams:
            adam.zero_grad()
        total = 0.0
        choices = self.loader.choose(self.plan, place)
        for side, decoder in enumerate((net.source_decoder, net.target_decoder)):
            batch = self.load(side, choices[side])
            move: Tensor | float = shift if side == 0 else 0.0
            loss = l1(decoder(net.encoder(batch["warped"] + move)), batch["crop"] + move)
            torch.autograd.backward(loss)
            total += float(loss.detach())
        for adam in self.adams:
            adam.step()
        return total


def jpegs(crops: Identities) -> list[bytes]:
    """The crops as they lie on disk."""
    return [cell for rows in crops.tables(256, ("crop",)) for cell in rows["crop"].to_pylist()]


def job_of(folder: Path, settings: dict[str, Any], plan: Plan) -> Job:
    """A training on the two shards in `folder`."""
    return Job("bench", "autoencoder", settings, plan, folder / "a", folder / "b", folder, folder)


def build_ours(job: Job) -> tuple[loop.Run, StepContext]:
    """Our side, ready to step."""
    run = loop.build(job, CPU)
    return run, StepContext(
        run.swapper, build_loader(run.swapper, *run.crops), job.plan, SingleProcess()
    )


def build_founding(job: Job) -> Founding:
    """The baseline, with the same weights, data and random numbers."""
    run, context = build_ours(job)
    if not isinstance(run.swapper, Autoencoder):
        raise TypeError(type(run.swapper))
    if not isinstance(context.loader, IndependentLoader):
        raise TypeError(type(context.loader))
    files = (jpegs(run.crops[0]), jpegs(run.crops[1]))
    return Founding(run.swapper, context.loader, files, job.plan)


def curves(folder: Path) -> float:
    """Print the largest and mean distance of the two loss curves; gives the largest, relative."""
    job = job_of(folder, NARROW, Plan(batch_images=16))
    founding, (run, context) = build_founding(job), build_ours(job)
    theirs, ours = [], []
    for place in range(CURVE_STEPS):
        theirs.append(founding.step(place))
        ours.append(loop.train_step(run, context))
    apart = np.abs(np.array(ours) / np.array(theirs) - 1)
    print(
        f"train: loss {theirs[0]:.4f} -> {theirs[-1]:.4f} in {CURVE_STEPS} iterations by the "
        f"founding scheme, {ours[0]:.4f} -> {ours[-1]:.4f} by ours; curves apart by "
        f"{apart.mean():.2%} in the mean, {apart.max():.2%} at most",
        flush=True,
    )
    return float(apart.max())


def serve(pipe: Connection, side: str, job: Job) -> None:
    """Child process: an iteration for each "step" that comes in, its seconds go out."""
    ours = side == "ours"
    step: Callable[[int], float]
    # Ours as in training, one thread for each part; the baseline as torch has it.
    parts = job.plan.micro_batches
    with crew_for(CPU, environment.threads(), parts, split=not ours) as crew:
        if ours:
            keep_freed_memory()
            run, context = build_ours(job)
            context = dataclasses.replace(context, crew=crew)
            step = lambda _: loop.train_step(run, context)  # noqa: E731 - as short as the other's
        else:
            step = build_founding(job).step
        for place in itertools.count():
            if pipe.recv() != "step":
                return
            pipe.send(seconds(functools.partial(step, place))[0])


def begin(side: str, job: Job) -> Connection:
    """Start the process of one side."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    spawning.Process(target=serve, args=(there, side, job), daemon=True).start()
    there.close()
    return here


def fastest(job: Job) -> tuple[float, float]:
    """Shortest iteration of the baseline and of ours in seconds; they alternate."""
    sides = (begin("founding", job), begin("ours", job))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM_STEPS + TIMED_STEPS):
        for pipe, spent in zip(sides, times, strict=True):
            pipe.send("step")
            spent.append(pipe.recv())
    for pipe in sides:
        pipe.send("end")
    return min(times[0][WARM_STEPS:]), min(times[1][WARM_STEPS:])


def run() -> list[Result]:
    """Result `train.autoencoder`, in images per second."""
    torch.set_num_threads(environment.threads())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_shard(folder / "a", "ann", 1)
        draw_shard(folder / "b", "ben", 2)
        curves(folder)
        plan = Plan()
        theirs, ours = fastest(job_of(folder, {}, plan))
    images = plan.step_images
    return [rate("train.autoencoder", images / ours, images / theirs, "images/s")]


if __name__ == "__main__":
    record(run())
