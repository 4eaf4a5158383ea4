"""The training loop: load, build, resume, train, log, look, save; from top to bottom.

The budget counts images. A family may have several phases, which follow each other within a
step; no family is named here. The result depends on the job alone: on a CPU it is the same to
the last bit however often the run was interrupted, and for any number of workers with the same
number of threads each (models/training/steps.py says why).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from likeness.contracts.errors import ModelError
from models.devices import pick_device
from models.layers.norm import layers_of
from models.training import saving as saves
from models.training.compiled import compile_networks, reporting, uncompiled
from models.training.exchange import Alone, Exchange
from models.training.footprint import measure
from models.training.guard import NotFiniteError, explain
from models.training.plan import Job
from models.training.run import Run, active, build, resume
from models.training.setting import gather
from models.training.settle import settle
from models.training.snapshots import NAME, PHASE, keep_snapshots
from models.training.steps import Bench, take_step
from models.training.validation import Validation, open_validation
from models.training.watch import Bar, Nobody, Watcher

__all__ = ["Run", "active", "build", "train", "train_step"]


def train_step(run: Run, bench: Bench) -> float:
    """One step of every phase that is active; gives the sum of their losses."""
    plan, step = run.job.plan, run.progress.step
    total, run.swapper.images_seen = 0.0, run.images
    for phase in active(run.phases, run.images):
        # Each phase sees crops of its own, as each step does.
        place = step * len(run.phases) + run.phases.index(phase)
        choices = bench.sides.choose(plan, place)
        values = take_step(bench, phase, run.optimisers[phase.name], choices, step)
        values["loss"] = sum(values.values())
        run.progress.add(phase.name, values)
        run.latest.update({f"{phase.name}/{name}": value for name, value in values.items()})
        total += values["loss"]
    run.progress.step += 1
    if run.average:
        run.average.update(run.swapper, run.progress.step)
    return total


def guarded_step(run: Run, bench: Bench, *, saving: bool) -> float:
    """As `train_step`.

    Raises:
        ModelError: a loss or gradient that is no finite number, with what is left and what helps;
            too little memory.
    """
    try:
        with room(run.job):
            return train_step(run, bench)
    except NotFiniteError as error:
        # All workers are here, for they share losses and gradients: the first one saves, then the
        # others leave, lest the group be ended before that.
        met = torch.zeros(1, device=run.device)
        if not saving:
            bench.exchange.share(met, 0)
        told = explain(error, run, saving=saving)
        if saving:
            bench.exchange.share(met, 0)
        raise told from None


@contextmanager
def room(job: Job) -> Iterator[None]:
    """A device that is too small for a step is told as an error with what helps.

    Raises:
        ModelError: too little memory.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        problem = f"a part of {job.plan.batch_images // job.plan.micro_batches} images a side"
        advice = "raise `train.micro_batches` (smaller parts, one after the other), or lower "
        raise ModelError(
            job.model,
            f"the device has too little memory for {problem}",
            f"{advice}`train.batch_images` or `size_px`",
        ) from None


def look(run: Run, bench: Bench | None, validation: Validation | None, *, preview: bool) -> None:
    """Settle (where there is anything to), validate, keep and show the weights that people get."""
    with run.shown():
        if bench:
            settle(bench, run.phases)
        known = any(row[:3] == (run.images, PHASE, NAME) for row in run.progress.history)
        if validation and not known:
            found = validation.identity(run.swapper)
            run.progress.history.append((run.images, PHASE, NAME, found))
            run.latest[f"{PHASE}/{NAME}"] = found
        keep_snapshots(run)
        if preview:
            run.preview()


def leave(run: Run, bench: Bench | None, validation: Validation | None) -> None:
    """Take a last look where the budget is used up; else save, so that another run goes on."""
    if run.done:
        look(run, bench, validation, preview=run.passed(run.job.plan.preview_every_images))
        return
    run.save()
    with run.shown():
        if bench:
            settle(bench, run.phases)
        run.preview()


def announce(run: Run, bench: Bench) -> None:
    """One line for the person who watches: what memory the training takes."""
    with uncompiled(run.job.plan), room(run.job):
        footprint = measure(bench, run.phases)
    message = f"{run.job.model}: {footprint}; {bench.sides.bytes / 2**20:.0f} MiB crops"
    print(message, file=sys.stderr, flush=True)


def train(
    job: Job,
    exchange: Exchange | None = None,
    device: torch.device | None = None,
    watcher: Watcher | None = None,
) -> Run:
    """Train a model to the end of its budget, or until the watcher has seen enough.

    Args:
        job: what to train, and on what.
        exchange: the group of workers this process belongs to; None trains alone.
        device: where to compute; None asks the environment.
        watcher: shows how it goes and may end it; the run is then saved and can be continued.

    Raises:
        ModelError: shards without crops, a loss that is not finite, a damaged checkpoint, networks
            that cannot be compiled.
        ParamsError: settings that the family does not allow.
    """
    # ---- load and build --------------------------------------------------------------------
    exchange, plan = exchange or Alone(), job.plan
    run = build(job, device or pick_device())
    if not run.phases:
        return run

    # ---- resume ----------------------------------------------------------------------------
    resume(run, exchange)
    compile_networks(run.swapper, job)
    first = exchange.rank == 0
    validation = open_validation(job, run.swapper, run.device) if first else None
    if run.done and not layers_of(run.swapper):
        # The last checkpoint may be older than the last look; crops are not decoded for it.
        if first:
            leave(run, None, validation)
        return run
    bench = Bench(run.swapper, gather(run.swapper, *run.crops, run.device), plan, exchange)
    if first and not run.done:
        announce(run, bench)

    # ---- train -----------------------------------------------------------------------------
    saving = saves.begin(run, exchange)
    watcher = (watcher or Bar()) if first else Nobody()
    with watcher.watching(run), reporting(job):
        while not run.done and not watcher.enough(run):
            loss = guarded_step(run, bench, saving=first)

            # ---- log and look --------------------------------------------------------------
            if run.passed(plan.log_every_images) or run.done:
                run.progress.log(run.images)
            shows = run.passed(plan.preview_every_images)
            if first and (shows or run.passed(plan.snapshots.every_images)) and not run.done:
                look(run, bench, validation, preview=shows)
            watcher.saw(run, loss)

            # ---- save ----------------------------------------------------------------------
            saving.after_step(run)

    # ---- end -------------------------------------------------------------------------------
    saving.end(run)
    if first:
        leave(run, bench, validation)
    return run
