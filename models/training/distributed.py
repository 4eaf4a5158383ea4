"""Training with several workers through Ray Train: the part of the process that asks for them.

Each worker (models/training/worker.py) runs the same loop (models/training/loop.py) on its parts
of every batch. The first one writes checkpoints to the job's state folder; after the death of a
worker Ray starts a group again, of as many workers as then fit, and all of them continue from the
newest checkpoint there, and so does a new run after the death of everything. That folder is asked
instead of Ray's own record of checkpoints, because after a SIGKILL Ray was seen to offer an older
one than the last reported. Workers on several machines therefore need the state and the data on
storage that all of them see.

What holds: on the same kind of CPU the weights are the same to the last bit for every number of
workers and threads, interrupted or not, and equal those of the plain path. Other CPUs and GPUs
round differently; results then agree as closely as two orders of summation do. A batch has
`train.micro_batches` parts, and no more workers than that are started
(docs/decisions/0012-workers.md).
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from likeness.contracts import environment
from likeness.contracts.errors import LikenessError, ModelError
from models.training import checkpoint, cluster, processes
from models.training.job import Job
from models.training.worker import has_begun, mark, work

if TYPE_CHECKING:
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

PATIENCE = 5
"""Minutes that a cluster has to free what its workers need."""
START_S = 420.0
"""Time in which the first worker must begin: more than `PATIENCE`, which has a better reason."""
AGAIN = "run `dvc repro`: it continues from the last checkpoint"


def said(error: BaseException) -> str:
    """What an error says, on one line that is not too long."""
    return " ".join(f"{type(error).__name__}: {error}".split())[-300:]


def own_error(error: BaseException | None, depth: int = 6) -> LikenessError | None:
    """The product's own error inside those that Ray wraps around it, if there is one."""
    if error is None or not depth:
        return None
    if isinstance(error, LikenessError):
        return error
    inner: list[BaseException | None] = [getattr(error, "controller_failure", None)]
    inner += dict(getattr(error, "worker_failures", None) or {}).values()
    inner += [getattr(error, name, None) for name in ("cause", "_base_exc", "__cause__")]
    for part in inner:
        if isinstance(part, BaseException) and (found := own_error(part, depth - 1)):
            return found
    return None


def _trainer(job: Job, share: cluster.Share, wanted: int) -> DataParallelTrainer:
    """Ray Train's description of the run; the job's paths are absolute."""
    # Not above: Ray reads its environment when it is first imported (cluster.joined sets it).
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    from models.training.failure_policy import FailurePolicy

    group = secrets.token_hex(8)
    mark(job.state, group)
    config = {"job": job, "threads": share.threads, "gpu": share.gpu, "group": group}
    return DataParallelTrainer(
        work,
        train_loop_config={**config, "torch": torch.__version__},
        scaling_config=ScalingConfig(
            num_workers=(1, wanted),  # of these as many as there is room for, now or later
            use_gpu=share.gpu,
            resources_per_worker={"CPU": share.threads, **({"GPU": 1} if share.gpu else {})},
        ),
        run_config=RunConfig(
            name="run",
            storage_path=str(job.state / "ray"),
            logging_config=LoggingConfig(log_level="CRITICAL"),
            failure_config=FailureConfig(max_failures=-1, controller_failure_limit=PATIENCE),
            callbacks=[FailurePolicy(job.state)],
        ),
    )


def _fit(job: Job, share: cluster.Share, wanted: int) -> None:
    """Run Ray Train to its end.

    Raises:
        LikenessError: what a worker raised, or that they keep dying.
    """
    trainer, failures = _trainer(job, share, wanted), list[BaseException]()

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # carried to the thread that waits
            failures.append(error)

    # In a thread of its own, Ray leaves Ctrl-C to us.
    fitting = threading.Thread(target=fit, daemon=True)
    fitting.start()
    began = time.monotonic()
    while fitting.is_alive():
        fitting.join(0.2)
        if time.monotonic() - began > START_S and not has_begun(job.state):
            step = "see the newest folder in /tmp/ray for Ray's logs, or unset LIKENESS_WORKERS"
            raise ModelError(job.model, f"no worker began within {START_S:.0f} s", step)
    if failures:
        raise own_error(failures[0]) or ModelError(
            job.model, f"workers failed ({said(failures[0])})", AGAIN
        ) from None


def absolute(job: Job) -> Job:
    """The job with paths that hold in any working directory: Ray gives each worker its own."""
    paths: dict[str, Any] = {
        field.name: value.resolve()
        for field in dataclasses.fields(job)
        if isinstance(value := getattr(job, field.name), Path)
    }
    return dataclasses.replace(job, **paths)


def train(job: Job, workers: int) -> None:
    """Train `job` with up to `workers` processes; its last checkpoint then lies in `job.state`.

    Raises:
        ModelError: Ray that does not start or answer, workers that keep dying or stop early.
        LikenessError: what `models.training.loop.train` raised in a worker.
    """
    job, plan = absolute(job), job.plan
    wanted = min(workers, plan.micro_batches)
    if wanted < workers:
        _say(f"{job.model}: a batch has {wanted} parts, so {wanted} of {workers} workers train")
    before = {(record.host, record.pid) for record in processes.process_records(job.state)}
    # Ray keeps a record of its own beside the checkpoints; it must not know an earlier run.
    shutil.rmtree(job.state / "ray", ignore_errors=True)
    try:
        with cluster.joined(wanted, max(1, environment.threads() // wanted)) as own:
            share = cluster.share(wanted, own=own)
            if share.workers < wanted:
                _say(f"{job.model}: there is room for {share.workers} of {wanted} workers")
            _fit(job, share, wanted)
    finally:
        shutil.rmtree(job.state / "ray", ignore_errors=True)
    images = checkpoint.images_of(job.state)
    if images < plan.images:
        raise ModelError(job.model, f"workers ended at {images} of {plan.images} images", AGAIN)
    took = [t for t in processes.process_records(job.state) if (t.host, t.pid) not in before]
    names = " ".join(f"{record.host}:{record.pid}" for record in took)
    _say(f"{job.model}: steps were taken by {len(took)} workers: {names}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
