"""What workers get of a cluster's machines, what ends a run, when a training saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from likeness.contracts.errors import LikenessError, ModelError
from models.training.cluster import Share, share_of
from models.training.distributed import own_error
from models.training.process_group import SingleProcess
from models.training.processes import this_process
from models.training.saving import Saving

CPUS = {"CPU": 8.0}
GPUS = {"CPU": 16.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("machines", "wanted", "threads", "gpus", "share"),
    [
        ([CPUS], 2, None, True, Share(2, 4, gpu=False)),
        ([CPUS, CPUS], 2, None, True, Share(2, 8, gpu=False)),
        ([CPUS, {"CPU": 2.0}], 4, None, True, Share(4, 2, gpu=False)),
        ([CPUS], 2, 3, True, Share(2, 3, gpu=False)),
        ([CPUS], 4, 3, True, Share(2, 3, gpu=False)),
        ([{"CPU": 2.0}], 4, None, True, Share(2, 1, gpu=False)),
        ([{"CPU": 2.0}], 1, 4, True, Share(0, 4, gpu=False)),
        ([GPUS], 8, None, True, Share(4, 4, gpu=True)),
        ([GPUS, CPUS], 2, None, True, Share(2, 4, gpu=True)),
        ([GPUS, GPUS], 8, None, True, Share(8, 4, gpu=True)),
        ([GPUS], 2, None, False, Share(2, 8, gpu=False)),
        ([], 2, None, True, Share(0, 1, gpu=False)),
    ],
)
def test_share_is_the_clusters(
    machines: list[dict[str, float]], wanted: int, threads: int | None, gpus: bool, share: Share
) -> None:
    assert share_of(machines, wanted, threads, gpus=gpus) == share


class WrappedError(Exception):
    def __init__(self, **parts: Any) -> None:
        super().__init__("wrapped")
        self.__dict__.update(parts)


def test_the_products_error_is_found_in_rays() -> None:
    ours = ModelError("data/shards/ann", "the train shards hold no crops", "add footage")
    group = WrappedError(worker_failures={0: RuntimeError("connection closed"), 1: ours})
    assert own_error(WrappedError(controller_failure=WrappedError(cause=group))) is ours
    assert own_error(WrappedError(worker_failures={0: RuntimeError("gone")})) is None


def checkpoint(state: Path, step: int) -> None:
    (state / f"step-{step:09d}").mkdir(parents=True)


def test_deaths_without_progress_end_a_run_and_others_do_not(tmp_path: Path) -> None:
    from models.training.failure_policy import DEATHS, FailurePolicy

    verdict, death = FailurePolicy(tmp_path), RuntimeError("connection\nclosed")
    for step in range(10):
        checkpoint(tmp_path, step)
        verdict.after_exception(None, {1: death})
    for _ in range(DEATHS - 1):
        verdict.after_exception(None, {1: death})
    with pytest.raises(ModelError, match=r"workers: failed 4 times \(RuntimeError: conn.*; run"):
        verdict.after_exception(None, {1: death})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModelError("ann", "is not finite", "lower it"), "ann: is not finite; lower it"),
        (OSError(28, "No space left on device", "a/step-1"), "a/step-1: No space left on device"),
    ],
)
def test_errors_with_a_next_step_end_a_run_at_once(
    tmp_path: Path, error: Exception, said: str
) -> None:
    from models.training.failure_policy import FailurePolicy

    with pytest.raises(LikenessError, match=said):
        FailurePolicy(tmp_path).after_exception(None, {0: RuntimeError("closed"), 1: error})


def test_a_warning_saves_at_once_and_then_as_often_as_it_pays() -> None:
    saving = Saving(SingleProcess(), this_process(0, 1, 0), every_s=60.0)
    saving._cost_s = 2.0
    assert saving.pause_s(leaving=False) == 60
    assert saving.pause_s(leaving=True) == 0
    assert saving.pause_s(leaving=True) == 20
    assert saving.pause_s(leaving=False) == 60
    saving._cost_s = 12.0
    assert saving.pause_s(leaving=False) == 120
