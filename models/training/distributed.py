"""Training with several workers through Ray Train; the only module that imports ray.

Each worker runs the same loop (models/training/loop.py) on its parts of every batch. The first
one writes checkpoints to the job's state folder; after the death of a worker Ray starts the group
again and all of them continue from the newest checkpoint there, and so does a new run after the
death of everything. That folder is asked instead of Ray's own record of checkpoints, because after
a SIGKILL Ray was seen to offer an older one than the last reported. Workers on several machines
therefore need LIKENESS_STATE and the data on storage that all of them see.

What holds: with the same threads per worker on the same kind of CPU, the weights are the same to
the last bit for every number of workers, interrupted or not, and equal those of the plain path.
Other numbers of threads, other CPUs and GPUs round differently; results then agree as closely as
two orders of summation do. `train.micro_batches` bounds the number of workers.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import torch

from likeness.contracts import environment
from likeness.contracts.errors import LikenessError, ModelError
from likeness.contracts.memory import keep_freed_memory
from models.training import loop
from models.training.exchange import Group
from models.training.plan import Job

MAX_FAILURES = 3
"""Deaths of workers that one run survives; the next run continues all the same."""


def _work(config: dict[str, Any]) -> None:
    """One worker: train its share, and tell Ray how it went."""
    import ray.train
    import ray.train.torch

    torch.set_num_threads(config["threads"])
    keep_freed_memory()
    group = Group()
    try:
        run = loop.train(config["job"], group, ray.train.torch.get_device())
    except LikenessError as error:
        # Every worker meets the same error; a restart would only meet it again.
        facts = {"subject": error.subject, "problem": error.problem, "next": error.next_step}
        ray.train.report({"error": facts})
        return
    if group.rank == 0:
        run.save()
    ray.train.report({"images": run.images})


def _start_ray(workers: int, threads: int) -> None:
    """Join the cluster at RAY_ADDRESS, or start one on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    if os.environ.get("RAY_ADDRESS"):
        ray.init()
        return
    # Without its dashboard Ray warns every second that it cannot ask it; errors still show, and
    # so does the workers' own progress.
    quiet = ray.LoggingConfig(log_level="ERROR")
    ray.init(num_cpus=workers * threads + 1, include_dashboard=False, logging_config=quiet)


def _fit(job: Job, workers: int, threads: int) -> dict[str, Any]:
    """Run Ray Train to its end and give what the workers reported last.

    Raises:
        ModelError: workers died more often than `MAX_FAILURES`.
    """
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    use_gpu = torch.cuda.is_available() and environment.device() != "cpu"
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job, "threads": threads},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": threads, **({"GPU": 1} if use_gpu else {})},
        ),
        run_config=RunConfig(
            name="run",
            storage_path=str(job.state / "ray"),
            logging_config=LoggingConfig(log_level="WARNING"),
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    try:
        return dict(trainer.fit().metrics or {})
    except TrainingFailedError as error:
        reason = " ".join(str(error).split())[-300:]
        step = "run `dvc repro`: it continues from the last checkpoint"
        raise ModelError(job.model, f"workers failed ({reason})", step) from None


def train(job: Job, workers: int) -> None:
    """Train `job` with `workers` processes; its last checkpoint then lies in `job.state`.

    Raises:
        ModelError: more workers than parts of a batch, workers that keep dying, or what
            `models.training.loop.train` raises.
    """
    parts = job.plan.micro_batches
    if workers > parts:
        raise ModelError(
            f"{workers} workers",
            f"a batch has only {parts} parts",
            f"set LIKENESS_WORKERS to {parts} or less, or raise `train.micro_batches`",
        )
    import ray

    threads = max(1, environment.threads() // workers)
    # Ray keeps a record of its own beside the checkpoints; it must not know an earlier run.
    shutil.rmtree(job.state / "ray", ignore_errors=True)
    _start_ray(workers, threads)
    try:
        metrics = _fit(job, workers, threads)
    finally:
        ray.shutdown()
        shutil.rmtree(job.state / "ray", ignore_errors=True)
    if "error" in metrics:
        facts = metrics["error"]
        raise ModelError(facts["subject"], facts["problem"], facts["next"])
