"""Training and conversion beside other work: the demo's models with busy processes next to them.

Each busy process counts in a loop, at the lowest priority. `ours` is the speed beside them,
`baseline` the speed with none: a ratio of 0.4 keeps 40 %. A fair share would be n/(n+k) on n cores
beside k processes of the same priority, and more beside those of a lower one. Results named
`..._alone` compare the quiet speed with that of operations split among the threads, as torch does
it by itself (docs/benchmarks.md).

The machine must have nothing else to do.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.drawn import draw_shard
from benchmarks.harness import Result, rate, record
from likeness.contracts import environment
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params.convert import ConvertParams
from likeness.contracts.params.train import Plan
from likeness.contracts.tables.shards import SHARDS
from models.conversion import load_swapper
from models.crew import Crew, crew_for
from models.training import loop
from models.training.crops import open_crops
from models.training.job import Job
from models.training.loaders import build_loader
from models.training.process_group import SingleProcess
from models.training.results import write_results
from models.training.steps import StepContext
from tasks.convert import converted_rows

BUSY = (1, 3)
SECONDS = 6.0
WARM = 2
CPU = torch.device("cpu")
DEMO: dict[str, Any] = {
    "width": 32,
    "loss": "ssim_l1",
    "learning_rate": 5e-4,
    "encoder_rate": 1.0,
    "mask_weight": 1.0,
}
PLAN = Plan(batch_images=16, micro_batches=2, images=0)
Work = Callable[[Crew], int]
"""Does a piece of work; gives its images."""


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that count, while it lasts."""
    command = ["nice", "-n", "19", sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(count)]
    try:
        time.sleep(0.5)  # until all of them have started
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def speed(work: Work, *, split: bool = False, most: int | None = None) -> float:
    """Images per second over some seconds."""
    with crew_for(CPU, environment.threads(), most, split=split) as crew:
        for _ in range(WARM):
            work(crew)
        images, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < SECONDS:
            images += work(crew)
    return images / spent


def training(job: Job) -> Work:
    """Steps of a training."""
    run = loop.build(job, CPU)
    loader = build_loader(run.swapper, *run.crops)

    def step(crew: Crew) -> int:
        loop.train_step(run, StepContext(run.swapper, loader, job.plan, SingleProcess(), crew))
        return job.plan.step_images

    return step


def conversion(job: Job) -> Work:
    """A clip's crops through a model, as stage `convert` has it."""
    write_results(loop.train(job, device=CPU))
    swapper = load_swapper(job.out, "bf16", environment.threads())
    crops = open_crops(job.target, swapper.needs, swapper.size_px, float(swapper.coverage))
    wanted = {"frame_index", "track_index", "crop", "mask", "affine_matrix", *swapper.needs}
    columns = [name for name in SHARDS.schema.names if name in wanted]
    batches = [rows for path in crops.paths for rows in SHARDS.batches(path, columns, 8)][:6]
    convert = partial(converted_rows, swapper=swapper, crops=crops, params=ConvertParams())

    def pieces(crew: Crew) -> int:
        return sum(len(rows["crop"]) for rows in crew.map(convert, batches))

    return pieces


def measured(name: str, work: Work, most: int | None) -> list[Result]:
    """Results of one kind of work."""
    split, quiet = speed(work, split=True), speed(work, most=most)
    found = [rate(f"beside.{name}_alone", quiet, split, "images/s")]
    print(f"beside: {name}: {quiet:.4g} images/s, split among threads {split:.4g}", flush=True)
    for count in BUSY:
        with busy(count):
            ours, split = speed(work, most=most), speed(work, split=True)
        found.append(rate(f"beside.{name}_{count}", ours, quiet, "images/s"))
        line = f"beside: {name} beside {count}: {ours:.4g} images/s, {ours / quiet:.0%}"
        print(f"{line}; split among threads {split:.4g}", flush=True)
    return found


def run() -> list[Result]:
    """Results `beside.<work>_<busy processes>`."""
    keep_freed_memory()
    found: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_shard(folder / "a", "ann", 1)
        draw_shard(folder / "b", "ben", 2)
        sides = (folder / "a", folder / "b")
        kinds = {"autoencoder": DEMO, "mesh_transfer": {"max_foreign": 1.0}}
        for family, settings in kinds.items():
            out = folder / family
            out.mkdir()
            job = Job("demo", family, settings, PLAN, *sides, out, folder / f"{family}-state")
            if family == "autoencoder":
                found += measured("train", training(job), PLAN.micro_batches)
            found += measured(f"convert_{family}", conversion(job), None)
    return found


if __name__ == "__main__":
    record(run())
