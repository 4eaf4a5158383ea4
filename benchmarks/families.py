"""Every family of the registry at its default settings, beside its plain float32 form.

Training: one step of all phases through models/training/steps.py as the loop runs it (bf16
layers, channels of a pixel side by side, fused optimisers, freed memory kept). Inference: a model's
folder through tasks/convert.py's `load_swapper` and `swap_batch`. Baseline of both: the same
networks with the same weights and batches in eager float32, laid out as torch builds them, with
torch's own optimisers; in use also torch's own pooling and norms of vectors (`PLAIN`). Each side
works in a process of its own; they alternate, and the shortest of several turns counts. Where two
steps do not fit the machine's memory, the baseline has all its turns first.

Weights are those of an untrained model; pictures are drawn (benchmarks/drawn.py). Nothing names the
families: a new one is measured as soon as its module exists.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._sides import Work, alternate, one_after_the_other
from benchmarks.drawn import draw_recogniser, draw_shard
from benchmarks.harness import Result, best, cost, rate, record
from likeness.contracts import environment
from likeness.contracts.documents import read_json, write_json
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params.train import Plan
from models import tensorfile
from models.batch import Batch
from models.conversion import device_of, load_swapper, swap_batch
from models.crew import crew_for
from models.devices import pick_device
from models.families import step_bytes
from models.layers import gaussian_blur, relight
from models.layers.memory_format import lay_out
from models.swappers import registry
from models.swappers.base import Swapper
from models.training import loop
from models.training.compiled import compile_networks
from models.training.crops import open_crops
from models.training.identities import open_identities
from models.training.job import Job
from models.training.loaders import build_loader
from models.training.model_config import config_of
from models.training.process_group import SingleProcess
from models.training.steps import StepContext, take_step
from tasks.appearance import STAGE as APPEARANCE
from tasks.convert import source_crops

Pixels = npt.NDArray[np.float32]
CPU = torch.device("cpu")
FIGURES = Path(".likeness/bench/families.json")
"""For `likeness families`: per family size_px, swap_ms, swap_ratio, difference_mean and
difference_max in levels of 255; where it trains train_images_s, train_ratio, loader_ratio."""
PIXELS = 32 * 64**2
"""Of one side of a step: as many crops as that gives, an even number, at least 2."""
SWAPPED = 8
"""Crops per call in use."""
MAP = "map.json"
"""The source's appearance map, beside its shards."""
VARIETY = 0.02
"""Difference of the pictures of one identity: more would be foreign to its face."""
TOGETHER = 3
"""Both sides of a training lie in memory at once where it holds so many of its steps."""
TURNS, ENOUGH_S, LONG_S = 3, 15.0, 900.0
PEAK_S = 2.0
"""How long the best matrix product is looked for: the first ones find a processor at rest."""


def size_of(family: str) -> int:
    """Side of the crops of a family."""
    with registry.Unfilled():
        return registry.build(family, {}).size_px


def job_of(folder: Path, family: str) -> Job:
    """A training of a family at its defaults on the drawn shards in `folder`."""
    images = max(2, PIXELS // size_of(family) ** 2 // 2 * 2)
    plan = Plan(batch_images=images, micro_batches=2 if images > 16 else 1)
    paths = (folder / "a", folder / "b", folder, folder)
    return Job("bench", family, {}, plan, *paths, recogniser=folder / "recogniser")


def prepare(job: Job, out: Path) -> None:
    """Write the folder of an untrained model."""
    run = loop.build(job, CPU)
    tensorfile.write(out / registry.WEIGHTS, dict(run.swapper.state_dict()))
    write_json(out / registry.CONFIG, config_of(run))


# ---- training ------------------------------------------------------------------------------


def plain(run: loop.Run) -> None:
    """Turn a run into the baseline: torch's order of weights, and its own optimisers."""
    lay_out(run.swapper, torch.contiguous_format)
    for mover in run.optimisers.values():
        for group in mover.param_groups:
            group["fused"] = None


def phases_of(job: Job) -> int:
    """Phases of a family's training; each draws crops of its own."""
    with registry.Unfilled():
        return len(registry.build(job.family, job.settings).phases())


def trainer(job: Job, ours: bool) -> Work:
    """Work of one side: a step of every phase; gives its operations, as the first one counts."""
    if ours:
        keep_freed_memory()
    run = loop.build(job, pick_device())
    if not ours:
        plain(run)
    compile_networks(run.swapper, job)
    loader = build_loader(run.swapper, *run.crops, run.device)
    counter = FlopCounterMode(display=False)
    # Ours as in training, one thread for each part; the baseline as torch has it. Operations are
    # counted on the thread that counts alone.
    threads, split = environment.threads(), not ours or job.plan.compile

    def step(turn: int) -> int:
        with (
            crew_for(
                run.device, threads, job.plan.micro_batches if turn else 1, split=split
            ) as crew,
            nullcontext() if turn else counter,
        ):
            context = StepContext(run.swapper, loader, job.plan, SingleProcess(), crew)
            for phase in run.phases:
                choices = context.loader.choose(job.plan, turn)
                take_step(context, phase, run.optimisers[phase.name], choices, turn)
        finish(run.device)
        return counter.get_total_flops()

    return step


def all_memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def finish(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def most_operations(device: torch.device) -> float:
    """Operations per second of a large bf16 matrix product: what the device can do."""
    side = 8192 if device.type == "cuda" else 2048
    factor = torch.rand(side, side, device=device, dtype=torch.bfloat16)

    def multiply() -> None:
        torch.mm(factor, factor)
        finish(device)

    multiply()
    took = best(multiply)
    return 2 * side**3 / best(multiply, max(5, round(PEAK_S / took)))


def training(job: Job) -> tuple[float, float, int]:
    """Seconds per step of all phases, of the baseline and of ours, and operations of ours."""
    slow = replace(job, plan=job.plan.model_copy(update={"precision": "float32"}))
    sides = [functools.partial(trainer, *s) for s in ((slow, False), (job, True))]
    taken = step_bytes(job.family, job.plan) or 0
    compare = alternate if TOGETHER * taken < all_memory() else one_after_the_other
    (theirs, _), (own, operations) = compare(sides[0], sides[1], TURNS, ENOUGH_S)
    return theirs, own, operations


def loading(job: Job) -> float:
    """Seconds in which the loader makes the batches of one phase's step."""
    with registry.Unfilled():
        swapper = registry.build(job.family, job.settings)
    view = (swapper.needs, swapper.size_px, swapper.coverage)
    source, target = (open_identities(folder, *view) for folder in (job.source, job.target))
    loader = build_loader(swapper, source, target)
    context = StepContext(swapper, loader, job.plan, SingleProcess())

    def load() -> None:
        for _, choices in context.parts(loader.choose(job.plan, 0)):
            loader.batches(choices, CPU)

    return best(load, 5)


# ---- in use --------------------------------------------------------------------------------


def crops_of(folder: Path, swapper: Swapper) -> Batch:
    """SWAPPED crops of the target as `convert` gives them."""
    view = (swapper.needs, swapper.size_px, float(swapper.coverage))
    return next(open_crops(folder, *view).batches(SWAPPED))


def pooled(picture: torch.Tensor, reach: int, dimension: int) -> torch.Tensor:
    """Greatest value within 2 * reach + 1 px along a dimension, as torch has it."""
    down = dimension == 2
    side, edge = 2 * reach + 1, (reach, 0) if down else (0, reach)
    return functional.max_pool2d(picture, (side, 1) if down else (1, side), 1, edge)


def length(picture: torch.Tensor) -> torch.Tensor:
    """Length of the chroma of (B,3,H,W), as torch has it."""
    return picture[:, 1:].norm(dim=1, keepdim=True)


PLAIN = ((gaussian_blur, "_greatest", pooled), (relight, "_chroma", length))
"""What was written for speed where torch has an operator, and that operator."""


def swapping(model: Path, job: Job, ours: bool) -> Work:
    """Work of one side: SWAPPED crops swapped; gives the pictures, in levels of 255."""
    torch.set_num_threads(environment.threads())
    swapper = load_swapper(model, "bf16") if ours else registry.load(model)
    swapper = swapper.to(pick_device())
    target = crops_of(job.target, swapper)
    source = source_crops(job.source, job.state / MAP, swapper)
    if ours:
        keep_freed_memory()
    for module, name, operator in () if ours else PLAIN:
        setattr(module, name, operator)

    def swap(turn: int) -> Pixels:
        if ours:
            image, _ = swap_batch(swapper, target, "bf16", source)
        else:
            with torch.inference_mode():
                given = {name: column.to(device_of(swapper)) for name, column in target.items()}
                image = swapper.swap(given, source)[0].cpu()
        return np.asarray((image.clamp(-1, 1) * 127.5).numpy())

    return swap


def using(job: Job) -> tuple[float, float, Pixels]:
    """Seconds per call of the baseline and of ours, and how far their pictures are apart."""
    with tempfile.TemporaryDirectory() as name:
        prepare(job, Path(name))
        sides = [functools.partial(swapping, Path(name), job, ours) for ours in (False, True)]
        (theirs, wanted), (own, found) = alternate(sides[0], sides[1], TURNS, ENOUGH_S)
    return theirs, own, np.abs(wanted - found)


# ---- all of it -----------------------------------------------------------------------------


def measure_swap(job: Job) -> tuple[dict[str, float], list[Result]]:
    """Figures of a family in use."""
    theirs, own, apart = using(job)
    name = f"families.{job.family}_swap"
    swap = cost(name, own / SWAPPED * 1e3, theirs / SWAPPED * 1e3, "ms/crop")
    apart_by = {"difference_mean": float(apart.mean()), "difference_max": float(apart.max())}
    print(f"{name}: apart by {apart.mean():.3f} levels of 255, at most {apart.max():.2f}")
    return {"swap_ms": swap.ours, "swap_ratio": swap.ratio, **apart_by}, [swap]


def measure_training(job: Job) -> tuple[dict[str, float], list[Result]]:
    """Figures of a family's training; none where it has none."""
    phases = phases_of(job)
    if not phases:
        return {}, []
    theirs, own, operations = training(job)
    share = operations / own / most_operations(pick_device())
    name, images = f"families.{job.family}", job.plan.step_images
    train = rate(f"{name}_training", images / own, images / theirs, "images/s")
    loader = rate(f"{name}_loader", images / loading(job), phases * train.ours, "images/s")
    print(f"{name}: {job.plan.batch_images} crops of each side, {phases} phases a step")
    print(f"{name}: {operations / 1e9:.0f} GFLOP a step, {share:.0%} of what matrix products reach")
    figures = {
        "train_images_s": train.ours,
        "train_ratio": train.ratio,
        "loader_ratio": loader.ratio,
    }
    return figures, [train, loader]


def measure_compiled(job: Job) -> tuple[dict[str, float], list[Result]]:
    """What torch.compile adds to our step; no part of the whole run, for it takes minutes."""
    phases = phases_of(job)
    if not phases:
        return {}, []
    compiled = replace(job, plan=job.plan.model_copy(update={"compile": True}))
    began = time.monotonic()
    sides = [functools.partial(trainer, given, ours=True) for given in (job, compiled)]
    (eager, _), (own, _) = alternate(sides[0], sides[1], TURNS, LONG_S)
    images, name = job.plan.step_images, f"families.{job.family}_compiled"
    print(f"{name}: {time.monotonic() - began:.0f} s in all, {1 + TURNS} steps of each side")
    found = rate(name, images / own, images / eager, "images/s")
    return {"compile_ratio": found.ratio}, [found]


MEASURES = {"swap": measure_swap, "training": measure_training}
PARTS = {**MEASURES, "compiled": measure_compiled}


def run(only: str | None = None, part: str | None = None) -> list[Result]:
    """Results `families.<family>_training` in images/s and `families.<family>_swap` in ms."""
    torch.set_num_threads(environment.threads())
    found: list[Result] = []
    known = read_json(FIGURES) if FIGURES.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_shard(folder / "a", "ann", 1, VARIETY)
        draw_shard(folder / "b", "ben", 2, VARIETY)
        draw_recogniser(folder / "recogniser")
        params = folder / "params.yaml"
        params.write_text("{}\n")
        paths = {"shards": "a", "map": MAP, "picture": "map.jpg", "params": params.name}
        given = [(f"--{key}", str(folder / path)) for key, path in paths.items()]
        APPEARANCE.execute([part for pair in given for part in pair])
        for family in [only] if only else registry.names():
            job = job_of(folder, family)
            entry = known.setdefault(family, {"size_px": size_of(family)})
            for measure in [PARTS[part]] if part else MEASURES.values():
                figures, results = measure(job)
                entry.update({key: round(value, 4) for key, value in figures.items()})
                found += results
            write_json(FIGURES, known)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families")
    parser.add_argument("--family", choices=registry.names(), help="one family")
    parser.add_argument("--part", choices=list(PARTS), help="one part")
    given = parser.parse_args()
    record(run(given.family, given.part))
