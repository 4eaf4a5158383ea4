"""The training loop: load, build, resume, train, log, look, save; from top to bottom.

The budget counts images. A family may have several phases, which follow each other within a
step; no family is named here. The result depends on the job alone: on a CPU it is the same to
the last bit however often the run was interrupted, and for any number of workers and threads
(models/training/steps.py and models/crew.py say why).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from likeness.contracts import environment
from likeness.contracts.errors import ModelError
from models.crew import Crew, crew_for
from models.devices import pick_device
from models.layers.norm import layers_of
from models.training import saving as saves
from models.training.callbacks import ProgressBar, SilentCallback, TrainingCallback
from models.training.compiled import compile_networks, reporting, uncompiled
from models.training.footprint import measure
from models.training.job import Job
from models.training.loaders import build_loader
from models.training.non_finite import NotFiniteError, explain
from models.training.precise_batch_norm import precise_batch_norm
from models.training.process_group import ProcessGroup, SingleProcess
from models.training.run import Run, active, build, resume
from models.training.snapshots import NAME, PHASE, keep_snapshots
from models.training.steps import StepContext, take_step
from models.training.validation import Validation, open_validation

__all__ = ["Run", "active", "build", "train", "train_step"]


def train_step(run: Run, context: StepContext) -> float:
    """One step of every phase that is active; gives the sum of their losses."""
    plan, step = run.job.plan, run.progress.step
    total, run.swapper.images_seen = 0.0, run.images
    for phase in active(run.phases, run.images):
        # Each phase sees crops of its own, as each step does.
        place = step * len(run.phases) + run.phases.index(phase)
        choices = context.loader.choose(plan, place)
        optimiser = run.optimisers[phase.name]
        values = take_step(context, phase, optimiser, choices, step, images=run.images)
        values["loss"] = sum(values.values())
        run.progress.add(phase.name, values)
        run.latest.update({f"{phase.name}/{name}": value for name, value in values.items()})
        total += values["loss"]
    run.progress.step += 1
    run.progress.images += plan.step_images
    if run.average:
        run.progress.averaged += 1
        run.average.update(run.swapper, run.progress.averaged)
    return total


def guarded_step(run: Run, context: StepContext, *, saving: bool) -> float:
    """As `train_step`.

    Raises:
        ModelError: a loss or gradient that is no finite number, with what is left and what helps;
            too little memory.
    """
    try:
        with room(run.job):
            return train_step(run, context)
    except NotFiniteError as error:
        # All workers are here, for they share losses and gradients: the first one saves, then the
        # others leave, lest the group be ended before that.
        met = torch.zeros(1, device=run.device)
        if not saving:
            context.group.broadcast(met, 0)
        told = explain(error, run, saving=saving)
        if saving:
            context.group.broadcast(met, 0)
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


def look(
    run: Run, context: StepContext | None, validation: Validation | None, *, preview: bool
) -> None:
    """Settle (where there is anything to), validate, keep and show the weights that people get."""
    with run.shown():
        if context:
            precise_batch_norm(context, run.phases)
        known = any(row[:3] == (run.images, PHASE, NAME) for row in run.progress.history)
        if validation and not known:
            found = validation.identity(run.swapper)
            run.progress.history.append((run.images, PHASE, NAME, found))
            run.latest[f"{PHASE}/{NAME}"] = found
        keep_snapshots(run)
        if preview:
            run.preview()


def leave(run: Run, context: StepContext | None, validation: Validation | None) -> None:
    """Save, and take a last look.

    Where the budget is used up, what this end alone logs and shows stays out of the checkpoint: a
    larger budget goes on as if there had been no end here.
    """
    plan = run.job.plan
    shows = run.passed(plan.preview_every_images)
    planned = shows or run.passed(plan.snapshots.every_images)
    if run.done and planned:
        look(run, context, validation, preview=shows)
    run.save()
    if run.done:
        run.progress.log(run.images)
        if not planned:
            look(run, context, validation, preview=False)
        return
    with run.shown():
        if context:
            precise_batch_norm(context, run.phases)
        run.preview()


def announce(run: Run, context: StepContext) -> None:
    """A line for the person who watches: what memory the training takes; who has nothing to do."""
    with uncompiled(run.job.plan), room(run.job):
        footprint = measure(context, run.phases)
    message = f"{run.job.model}: {footprint}; {context.loader.bytes / 2**20:.0f} MiB crops"
    if context.crew.size > 1:
        message += f"; {context.crew.size} parts of a batch side by side, activations for each"
    if context.crew.idle:
        message += f"; {context.crew.idle} threads idle (`train.micro_batches` says why)"
    print(message, file=sys.stderr, flush=True)


def train(
    job: Job,
    group: ProcessGroup | None = None,
    device: torch.device | None = None,
    callback: TrainingCallback | None = None,
    threads: int | None = None,
) -> Run:
    """Train a model to the end of its budget, or until the callback says so.

    Args:
        job: what to train, and on what.
        group: the group of workers this process belongs to; None trains alone.
        device: where to compute; None asks the environment.
        callback: shows how it goes and may end it; the run is then saved and can be continued.
        threads: parts of a batch that are computed side by side on a CPU; None: this worker's
            share of LIKENESS_THREADS.

    Raises:
        ModelError: shards without crops, a loss that is not finite, a damaged checkpoint, networks
            that cannot be compiled.
        ParamsError: settings that the family does not allow.
    """
    group, device = group or SingleProcess(), device or pick_device()
    threads = threads or max(1, environment.threads() // group.size)
    with crew_for(device, threads, job.plan.micro_batches, split=job.plan.compile) as crew:
        return _train(job, group, device, callback or ProgressBar(), crew)


def _train(
    job: Job, group: ProcessGroup, device: torch.device, callback: TrainingCallback, crew: Crew
) -> Run:
    # ---- load and build --------------------------------------------------------------------
    plan, run = job.plan, build(job, device)
    if not run.phases:
        return run

    # ---- resume ----------------------------------------------------------------------------
    resume(run, group)
    compile_networks(run.swapper, job)
    first = group.rank == 0
    validation = open_validation(job, run.swapper, run.device) if first else None
    if run.done and not layers_of(run.swapper):
        # The last checkpoint may be older than the last look; crops are not decoded for it.
        if first:
            leave(run, None, validation)
        return run
    loader = build_loader(run.swapper, *run.crops, run.device)
    context = StepContext(run.swapper, loader, plan, group, crew)
    if first and not run.done:
        announce(run, context)

    # ---- train -----------------------------------------------------------------------------
    saving = saves.begin(run, group)
    callback = callback if first else SilentCallback()
    with callback.around(run), reporting(job):
        while not run.done and not callback.should_stop(run):
            loss = guarded_step(run, context, saving=first)

            # ---- log and look --------------------------------------------------------------
            if run.passed(plan.log_every_images):
                run.progress.log(run.images)
            shows = run.passed(plan.preview_every_images)
            if first and (shows or run.passed(plan.snapshots.every_images)) and not run.done:
                look(run, context, validation, preview=shows)
            callback.after_step(run, loss)

            # ---- save ----------------------------------------------------------------------
            saving.after_step(run)

    # ---- end -------------------------------------------------------------------------------
    saving.end(run)
    if first:
        leave(run, context, validation)
    return run
