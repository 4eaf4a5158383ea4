"""Settings of the machine, never of the result: they come from the environment alone."""

from __future__ import annotations

import os
from pathlib import Path

from likeness.contracts.errors import LikenessError


def _number(name: str, least: int, step: str) -> int | None:
    """A whole number from the environment; None where it is not set.

    Raises:
        LikenessError: anything else, or too little.
    """
    given = os.environ.get(name, "").strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit()) or not least <= int(given) < 10**6:
        raise LikenessError(name, f"`{given}` is no whole number from {least} on", step)
    return int(given)


def cores() -> int:
    """Cores this process may run on; macOS cannot bind a process and counts them all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Threads a stage may use: LIKENESS_THREADS, else the cores this process may run on.

    Raises:
        LikenessError: it is set to something else than a number of threads.
    """
    given = _number("LIKENESS_THREADS", 1, "set it to a number of threads, or unset it")
    return given or cores()


def device() -> str:
    """Torch device name: LIKENESS_DEVICE, else "auto" (a GPU where there is one)."""
    return os.environ.get("LIKENESS_DEVICE", "auto")


def providers() -> tuple[str, ...]:
    """Execution providers of ONNX Runtime, best first: LIKENESS_PROVIDERS, separated by commas.

    Empty: what ONNX Runtime offers on this machine (models.analysers.providers).
    """
    given = os.environ.get("LIKENESS_PROVIDERS", "").split(",")
    return tuple(name.strip() for name in given if name.strip())


def workers() -> int:
    """Training workers: LIKENESS_WORKERS; 0 trains in this process without Ray.

    Raises:
        LikenessError: it is set to something else than a number of workers.
    """
    step = "set it to a number of workers, or unset it to train in one process"
    return _number("LIKENESS_WORKERS", 0, step) or 0


def checkpoint_s() -> float:
    """Seconds between two checkpoints of a training: LIKENESS_CHECKPOINT_S; 0 saves every step.

    Raises:
        LikenessError: it is set to something else than a number of seconds.
    """
    name = "LIKENESS_CHECKPOINT_S"
    given = os.environ.get(name, "").strip() or "60"
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise LikenessError(name, f"`{given}` is no number of seconds", "set it to 60, or unset it")
    return seconds


def state_folder() -> Path:
    """Folder for resume state and downloads, outside all stage outputs: LIKENESS_STATE."""
    return Path(os.environ.get("LIKENESS_STATE", ".likeness"))


def shared_folder() -> Path:
    """Folder with test material: LIKENESS_SHARED, else `../shared`."""
    return Path(os.environ.get("LIKENESS_SHARED", "../shared"))
