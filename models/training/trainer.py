"""The door of this room: train a job, alone or with workers, and write its results."""

from __future__ import annotations

from likeness.contracts import environment
from likeness.contracts.errors import ModelError
from likeness.contracts.memory import keep_freed_memory
from models.crew import single_threaded
from models.swappers import registry
from models.swappers.base import Swapper
from models.training import checkpoint
from models.training.callbacks import TrainingCallback
from models.training.continuation import plan_continuation
from models.training.job import Job
from models.training.loop import train
from models.training.results import write_results
from models.training.run import Run


def train_model(job: Job, workers: int = 0) -> None:
    """Train `job` on from where the model was left, by whatever settings; write into `job.out`.

    Args:
        job: what to train.
        workers: 0 trains in this process, more train through Ray, and then nothing trains here.

    Raises:
        ModelError, ParamsError: as `models.training.loop.train` and `distributed.train` say.
    """
    with checkpoint.claim(job.state):
        job = plan_continuation(job)
        left = job.plan.images > checkpoint.images_of(job.state)
        if workers and left and is_trainable(job.family):
            from models.training import distributed

            distributed.train(job, workers)
        # After workers have trained, this finds their last checkpoint, at the end of the budget.
        keep_freed_memory()
        run = train(job)
        with single_threaded():  # pictures round alike whatever there is
            write_results(run)


def is_trainable(family: str) -> bool:
    """Whether a family has anything to train."""
    return registry.load_class(family).phases is not Swapper.phases


def train_partly(job: Job, callback: TrainingCallback) -> Run:
    """Train a part of `job` in this process, as long as the callback wants; writes no results.

    The next training of the same job, by whichever door, goes on from there.

    Raises:
        ModelError, ParamsError: as `models.training.loop.train` says; workers are asked for.
    """
    if environment.workers():
        step = "unset LIKENESS_WORKERS for it, or run `dvc repro`"
        raise ModelError(job.model, "a trial trains in one process, without workers", step)
    keep_freed_memory()
    with checkpoint.claim(job.state):
        run = train(plan_continuation(job), callback=callback)
        if run.phases:
            run.save()
        return run
