"""Which device is chosen, and what is said where it is missing or too small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.contracts.errors import LikenessError, ModelError
from likeness.contracts.params.train import Plan
from models.devices import pick_device
from models.training import loop
from models.training.job import Job
from tests.swapper_cases import TINY
from tests.synthetic_shards import write_shards


@pytest.mark.parametrize(
    ("named", "there", "wanted"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda:1", True, "cuda:1"),
    ],
)
def test_a_gpu_is_taken_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, named: str, there: bool, wanted: str
) -> None:
    monkeypatch.setenv("LIKENESS_DEVICE", named)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert pick_device() == torch.device(wanted)


@pytest.mark.parametrize(("named", "problem"), [("cuda", "sees no GPU"), ("gpu", "is no device")])
def test_a_device_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, named: str, problem: str
) -> None:
    monkeypatch.setenv("LIKENESS_DEVICE", named)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LikenessError, match=f"LIKENESS_DEVICE: .*{problem}"):
        pick_device()


def test_a_device_that_is_too_small_is_told_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> float:
        raise torch.OutOfMemoryError

    pair = (write_shards(tmp_path / "ann", "ann", 5), write_shards(tmp_path / "ben", "ben", 5))
    out = tmp_path / "out"
    out.mkdir()
    plan = Plan(images=8, batch_images=4, micro_batches=2)
    job = Job("tiny", "autoencoder", TINY["autoencoder"], plan, *pair, out, tmp_path / "state")
    monkeypatch.setattr(loop, "train_step", full)
    with pytest.raises(ModelError, match=r"tiny.*2 images a side.*micro_batches"):
        loop.train(job, device=torch.device("cpu"))


@pytest.mark.parametrize(
    ("order", "threads"),
    [("models, torch", 2), ("torch, models", 1), ("apps.live.session, torch", 2)],
)
def test_threads_that_would_spin_are_refused(repository: Path, order: str, threads: int) -> None:
    code = f"import {order}; from models.crew import take_threads; take_threads(2)"
    code += "; print(torch.get_num_threads())"
    env = {k: v for k, v in os.environ.items() if k not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=repository, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{threads}\n"
    assert ("import models first, or set GOMP_SPINCOUNT=1000" in done.stderr) == (threads == 1)
