"""Checkpoints: one folder holds a whole moment of a training run, or does not exist.

A checkpoint is written under a temporary name, synced to disk and renamed to `step-<number>`;
only then are older ones removed. Whatever ends the process, and whenever, the newest folder is
whole. It holds model.safetensors (weights and buffers), optimiser.safetensors, average.safetensors
where weights are averaged, and progress.json (step, history, sums since the last log).
The step is also the state of all random numbers and the position in the data
(models/training/seeds.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from likeness.contracts.atomic import atomic_path
from likeness.contracts.errors import ModelError
from models import tensorfile
from models.training.people import folders_of
from models.training.plan import Job

MODELS = Path(__file__).resolve().parents[1]
AVERAGE = "average.safetensors"


@dataclass
class Progress:
    """Where a run stands, beside its tensors.

    Attributes:
        step: steps done.
        history: rows (images, phase, name, value) logged so far.
        sums: "<phase>/<name>" -> sum of the values since the last log.
        counts: the same keys -> how many.
    """

    step: int = 0
    history: list[tuple[int, str, str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, phase: str, values: dict[str, float]) -> None:
        """Count the losses of one step."""
        for name, value in values.items():
            key = f"{phase}/{name}"
            self.sums[key] = self.sums.get(key, 0.0) + value
            self.counts[key] = self.counts.get(key, 0) + 1

    def log(self, images: int) -> dict[str, float]:
        """Move the means since the last log into the history; gives them by name."""
        means = {key: self.sums[key] / self.counts[key] for key in sorted(self.sums)}
        for key, mean in means.items():
            phase, _, name = key.partition("/")
            self.history.append((images, phase, name, mean))
        self.sums, self.counts = {}, {}
        return means


@dataclass(frozen=True)
class Moment:
    """Everything that a checkpoint holds."""

    weights: dict[str, Tensor]
    optimisers: dict[str, Tensor]
    progress: Progress
    average: dict[str, Tensor] = field(default_factory=dict)


def folders(state: Path) -> list[Path]:
    """Checkpoints below `state`, oldest first."""
    return sorted(state.glob("step-*"))


def steps_of(state: Path) -> int:
    """Steps done at the newest checkpoint below `state`; -1 where there is none."""
    found = folders(state)
    return int(found[-1].name.partition("-")[2]) if found else -1


def save(state: Path, moment: Moment, *, keep_older: bool = False) -> None:
    """Write a checkpoint, then remove the older ones."""
    older = folders(state)
    final = state / f"step-{moment.progress.step:09d}"
    if final in older:
        return
    with atomic_path(final) as folder:
        folder.mkdir()
        tensorfile.write(folder / "model.safetensors", moment.weights)
        tensorfile.write(folder / "optimiser.safetensors", moment.optimisers)
        if moment.average:
            tensorfile.write(folder / AVERAGE, moment.average)
        (folder / "progress.json").write_text(json.dumps(asdict(moment.progress)))
    for folder in () if keep_older else older:
        shutil.rmtree(folder, ignore_errors=True)


def newest(state: Path) -> Moment | None:
    """The newest checkpoint below `state`, or None.

    Raises:
        ModelError: it is damaged (a disk error, not an interruption).
    """
    found = folders(state)
    if not found:
        return None
    folder = found[-1]
    try:
        content = json.loads((folder / "progress.json").read_text())
        content["history"] = [tuple(row) for row in content["history"]]
        progress = Progress(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        step = f"remove {folder} to train from the start"
        raise ModelError(folder, f"checkpoint is damaged ({error})", step) from None
    weights = tensorfile.read(folder / "model.safetensors")
    average = tensorfile.read(folder / AVERAGE) if (folder / AVERAGE).is_file() else {}
    moments = tensorfile.read(folder / "optimiser.safetensors")
    return Moment(weights, moments, progress, average)


@contextmanager
def claim(state: Path) -> Iterator[None]:
    """Keep other trainings of the same job from these checkpoints while this one lasts.

    Raises:
        ModelError: one is at work.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = "another process trains this very model"
            raise ModelError(state, problem, "wait for its end; it continues from there") from None
        yield


def remove(state: Path) -> None:
    """Remove all checkpoints below `state`; previews stay."""
    for folder in folders(state):
        shutil.rmtree(folder)


def _files(job: Job) -> list[Path]:
    """Shards and code that the result depends on."""
    families = MODELS / "swappers"
    code = [families / f"{job.family}.py", families / "base.py"]
    code += sorted(families.glob(f"_{job.family}_*.py"))
    for room in ("layers", "losses", "training"):
        code += sorted((MODELS / room).glob("*.py"))
    people = [f for side in (job.source, job.target) for f in folders_of(side)]
    data = [path for folder in people for path in sorted(folder.glob("*.parquet"))]
    given = [sorted(f.glob("*.safetensors")) for f in (job.init, job.recogniser) if f]
    if job.perceptual:
        given.append(sorted(job.perceptual.iterdir()))
    return code + data + [path for paths in given for path in paths]


def fingerprint(job: Job) -> str:
    """Hex digest of all that the result depends on: settings, plan, shards, code, torch."""
    content = {
        "family": job.family,
        "settings": job.settings,
        "plan": job.plan.model_dump(),
        "torch": torch.__version__,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    for path in _files(job):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]
