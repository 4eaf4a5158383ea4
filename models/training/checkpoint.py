"""Checkpoints: one folder holds a whole moment of a training run, or does not exist.

A checkpoint is written under a temporary name, synced to disk and renamed to `step-<number>`;
only then are older ones removed. Whatever ends the process, and whenever, the newest folder is
whole, and it outlives the training: a larger budget goes on from it. It holds model.safetensors
(weights and buffers), optimiser.safetensors, average.safetensors where weights are averaged, and
progress.json (step, history, sums since the last log, what has trained it so far).
The step is also the state of all random numbers and the position in the data
(models/training/seeds.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from likeness.contracts.atomic import atomic_path
from likeness.contracts.errors import ModelError
from models import tensorfile

AVERAGE = "average.safetensors"
LOCK = "lock"
BACKUPS, ASIDE = "backups", "aside-"


@dataclass
class Progress:
    """Where a run stands, beside its tensors.

    Attributes:
        step: steps done.
        images: crops of both identities that they saw.
        averaged: steps that the average of the weights has taken in.
        chain: what has trained these weights, the first one first
            (models/training/continuation.py).
        history: rows (images, phase, name, value) logged so far.
        sums: "<phase>/<name>" -> sum of the values since the last log.
        counts: the same keys -> how many.
    """

    step: int = 0
    images: int = 0
    averaged: int = 0
    chain: list[dict[str, Any]] = field(default_factory=list)
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


def back_up(state: Path, every_hours: float | None, latest: int) -> Path | None:
    """Keep a copy of the newest checkpoint if the last copy is old enough; gives it.

    Copies share their files with the checkpoint: what is written once never changes.
    To go back to one, remove the later `step-*` and move it beside them.
    """
    kept, found = state / BACKUPS, folders(state)
    if every_hours is None or not found:
        return None
    kept.mkdir(exist_ok=True)  # its time is that of the last copy, or of the training's beginning
    final = kept / found[-1].name
    if final.exists() or time.time() - kept.stat().st_mtime < every_hours * 3600:
        return None
    with atomic_path(final) as copy:
        shutil.copytree(found[-1], copy, copy_function=_link)
    for older in folders(kept)[:-latest]:
        shutil.rmtree(older, ignore_errors=True)
    return final


def _link(source: str, target: str) -> None:
    """The same file under a second name; a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def put_aside(state: Path, name: str, latest: int) -> Path:
    """Take a training's checkpoints, previews and snapshots away, beside the backups.

    Args:
        state: of the model.
        name: what the folder is called there.
        latest: so many trainings that were put aside are kept.
    """
    number, kept = 0, state / BACKUPS
    while (final := kept / (f"{ASIDE}{name}" + (f"-{number}" if number else ""))).exists():
        number += 1
    final.mkdir(parents=True)
    # The newest checkpoint goes last of all: until then the training is as it was.
    left = sorted(p for p in state.iterdir() if p.name not in {LOCK, BACKUPS})
    for path in sorted(left, key=lambda p: p.name.startswith("step-")):
        path.rename(final / path.name)
    others = sorted(kept.glob(f"{ASIDE}*"), key=lambda p: p.stat().st_mtime_ns)
    for older in others[:-latest]:
        shutil.rmtree(older, ignore_errors=True)
    return final


def folders(state: Path) -> list[Path]:
    """Checkpoints below `state`, oldest first."""
    return sorted(state.glob("step-*"))


def images_of(state: Path) -> int:
    """Images seen at the newest checkpoint below `state`; -1 where there is none.

    Raises:
        ModelError: it is damaged.
    """
    moment = newest(state)  # tensors stay on disk
    return moment.progress.images if moment else -1


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
        step = f"remove {folder}; a copy below {state / BACKUPS}, in its place, is gone on from"
        raise ModelError(folder, f"checkpoint is damaged ({error})", step) from None
    weights = tensorfile.read(folder / "model.safetensors")
    average = tensorfile.read(folder / AVERAGE) if (folder / AVERAGE).is_file() else {}
    moments = tensorfile.read(folder / "optimiser.safetensors")
    return Moment(weights, moments, progress, average)


@contextmanager
def claim(state: Path) -> Iterator[None]:
    """Keep other trainings of the same model from these checkpoints while this one lasts.

    Raises:
        ModelError: one is at work.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            problem = f"another process ({file.read().strip() or 'of unknown number'}) trains it"
            step = "wait for its end, or end it: what trains next goes on from there"
            raise ModelError(state.name, problem, step) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
