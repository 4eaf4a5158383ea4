"""Settings of the machine, never of the result: they come from the environment alone."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """Cores this process may run on; macOS cannot bind a process and counts them all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Threads a stage may use: LIKENESS_THREADS, else the cores this process may run on."""
    given = os.environ.get("LIKENESS_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else cores()


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
    """Training workers: LIKENESS_WORKERS; 0 trains in this process without Ray."""
    given = os.environ.get("LIKENESS_WORKERS", "0")
    return int(given) if given.isdigit() else 0


def checkpoint_s() -> float:
    """Seconds between two checkpoints of a training: LIKENESS_CHECKPOINT_S; 0 saves every step."""
    return float(os.environ.get("LIKENESS_CHECKPOINT_S", "60"))


def state_folder() -> Path:
    """Folder for resume state and downloads, outside all stage outputs: LIKENESS_STATE."""
    return Path(os.environ.get("LIKENESS_STATE", ".likeness"))


def shared_folder() -> Path:
    """Folder with test material: LIKENESS_SHARED, else `../shared`."""
    return Path(os.environ.get("LIKENESS_SHARED", "../shared"))
