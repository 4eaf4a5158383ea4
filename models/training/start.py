"""The door of this room: train a job, alone or with workers, and write its results."""

from __future__ import annotations

import torch

from likeness.contracts import environment
from likeness.contracts.memory import keep_freed_memory
from models.training import checkpoint
from models.training.loop import train
from models.training.plan import Job
from models.training.results import write_results
from models.training.run import Run
from models.training.watch import Watcher


def start(job: Job, workers: int = 0) -> None:
    """Train `job`, or finish what an interrupted run of the same job began; write into `job.out`.

    Args:
        job: what to train.
        workers: 0 trains in this process, more train through Ray.

    Raises:
        ModelError, ParamsError: as `models.training.loop.train` and `distributed.train` say.
    """
    with checkpoint.claim(job.state):
        if workers:
            from models.training import distributed

            distributed.train(job, workers)
        # After workers have trained, this finds their last checkpoint and has nothing left to do.
        take_threads()
        write_results(train(job))
        checkpoint.remove(job.state)


def take_threads() -> None:
    """Take the threads and the way of keeping memory that training has in a process of its own."""
    torch.set_num_threads(environment.threads())
    keep_freed_memory()


def try_out(job: Job, watcher: Watcher) -> Run:
    """Train a part of `job` in this process, as long as the watcher wants; writes no results.

    The next training of the same job, by whichever door, goes on from there.

    Raises:
        ModelError, ParamsError: as `models.training.loop.train` says.
    """
    take_threads()
    with checkpoint.claim(job.state):
        run = train(job, watcher=watcher)
        if run.phases:
            run.save()
        return run
