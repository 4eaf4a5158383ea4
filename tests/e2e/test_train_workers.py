"""Training with workers through the door that users take: `dvc repro` with the real dvc.yaml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from models.training.processes import ProcessRecord, process_records
from tests.house import change_params, copy_repository, write_code_lists
from tests.synthetic_shards import write_perceptual, write_recogniser, write_shards

FILES = ("model.safetensors", "config.json", "history.parquet", "preview.jpg")
PLAN = {"images": 3200, "batch_images": 8, "micro_batches": 2, "log_every_images": 64}
STEPS = 200
ENTRY = {"family": "autoencoder", "source": "ann", "target": "ben", "size_px": 32, "width": 4}
TWO = {"LIKENESS_WORKERS": "2", "LIKENESS_THREADS": "2"}
RAY_SETTINGS = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class Repository:
    """A copy of this repository with the data sets of two people and a model."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.root = copy_repository(repository, folder)
        write_shards(folder / "data/shards/ann", "ann", 8, seed=1)
        write_shards(folder / "data/shards/ben", "ben", 6, seed=2)
        (folder / "data/packs").mkdir()
        write_recogniser(folder / "data/packs/recogniser")
        write_perceptual(folder / "data/packs/perceptual", None)
        write_code_lists(folder)
        self.model()
        subprocess.run(["dvc", "init", "-q", "-f"], cwd=folder, check=True)

    def model(self, **settings: object) -> None:
        change_params(self.root, train=PLAN, models={"ann-ben": {**ENTRY, **settings}})

    def begin(self, **environment: str) -> subprocess.Popen[str]:
        """`dvc repro train@ann-ben` by a person who works in this folder, with relative paths."""
        clean = {name: value for name, value in os.environ.items() if name not in RAY_SETTINGS}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"OMP_NUM_THREADS": "1", "LIKENESS_THREADS": "1", "PATH": path}
        return subprocess.Popen(
            ["dvc", "repro", "--force", "--single-item", "train@ann-ben"],
            cwd=self.root,
            env={**clean, **own, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def forget(self) -> None:
        """Remove what a finished training has left, or the next one goes on from its end."""
        shutil.rmtree(self.root / ".likeness/training", ignore_errors=True)

    @property
    def state(self) -> Path:
        (folder,) = {p.parent for p in self.root.glob(".likeness/training/*/processes")}
        return folder

    def step(self) -> int:
        """Of the newest checkpoint; 0 without any."""
        return max(
            (int(p.name[5:]) for p in self.root.glob(".likeness/training/*/step-*")), default=0
        )

    def await_checkpoint(self, step: int, process: subprocess.Popen[str]) -> int:
        while process.poll() is None:
            if (found := self.step()) >= step:
                return found
            time.sleep(0.005)
        raise AssertionError(f"ended before step {step}: {process.communicate()[0]}")

    def content(self) -> dict[str, bytes]:
        folder = self.root / "data/models/ann-ben"
        return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Repository:
    return Repository(tmp_path_factory.mktemp("workers") / "repo", repository)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Ray's training workers below a process."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [p for p in below if "RayTrainWorker" in " ".join(p.cmdline())]


def listeners(process: subprocess.Popen[str]) -> dict[str, str]:
    """Addresses on which anything below a process listens -> the name of what does."""
    found = {}
    for one in psutil.Process(process.pid).children(recursive=True):
        for connection in one.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                found[connection.laddr.ip] = one.name()
    return found


@pytest.mark.slow(seconds=72)
@pytest.mark.timeout(900)
def test_workers_train_and_deaths_change_nothing(place: Repository) -> None:
    alone = place.begin()
    said = alone.communicate()[0]
    assert alone.returncode == 0, said
    wanted = place.content()
    (record,) = process_records(place.state)
    assert (record.workers, record.first_step, record.last_step) == (1, 0, STEPS)
    place.forget()
    # A run without workers is killed; three workers, one more than a batch has parts, go on.
    killed = place.begin(LIKENESS_CHECKPOINT_S="0")
    place.await_checkpoint(5, killed)
    for process in psutil.Process(killed.pid).children(recursive=True):
        process.kill()
    killed.communicate()
    left = place.step()
    before = process_records(place.state)
    training = place.begin(**{**TWO, "LIKENESS_WORKERS": "3"}, LIKENESS_CHECKPOINT_S="0")
    place.await_checkpoint(left + 10, training)
    first = workers_of(training)
    assert len(first) == 2
    assert {ip.removeprefix("::ffff:") for ip in listeners(training)} == {"127.0.0.1"}
    first[1].kill()
    first[1].wait()
    died = place.step()
    place.await_checkpoint(died + 10, training)
    seen = {p.pid for p in [*first, *workers_of(training)]}
    said = training.communicate()[0]
    assert training.returncode == 0, said
    assert "so 2 of 3 workers train" in said
    assert place.content() == wanted
    took = [
        t for t in process_records(place.state) if t not in before and t.last_step > t.first_step
    ]
    check_workers(took, seen)
    # Each group went on from the last checkpoint; a step lost is a step of work, not of numbers.
    assert min(t.first_step for t in took) >= left
    assert max(t.first_step for t in took) >= died


def check_workers(took: list[ProcessRecord], seen: set[int]) -> None:
    """All steps were taken by the processes that were seen to be Ray's workers."""
    assert took
    assert {record.pid for record in took} <= seen
    assert {record.workers for record in took} == {2}
    last = [record.rank for record in took if record.last_step == STEPS]
    assert sorted(last) == [0, 1]


@pytest.mark.slow(seconds=21)
@pytest.mark.timeout(600)
def test_an_error_of_a_worker_is_one_line(place: Repository) -> None:
    place.forget()
    place.model(learning_rate=1e18)
    try:
        training = place.begin(**TWO)
        said = training.communicate()[0]
    finally:
        place.model()
    assert training.returncode != 0
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "ann-ben, phase autoencoder, step 1: loss source.l1, target.l1 is not" in errors[0]
    assert "the last good weights are in" in errors[0]
    assert "exited with 2" in said
    assert "Traceback" not in said
