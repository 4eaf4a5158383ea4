"""The console script in a small repository, and what becomes of processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def clean_environment(repository: Path) -> dict[str, str]:
    """Environment without settings of a Prefect that belongs to somebody else."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    return {**kept, "PYTHONPATH": str(repository)}


def start(root: Path, repository: Path, *arguments: str, **extra: str) -> subprocess.Popen[str]:
    """`likeness ARGUMENTS` in `root`, both outputs in one pipe; `extra` goes to its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=root,
        env={**clean_environment(repository), **extra},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def likeness(root: Path, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `likeness ARGUMENTS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=root,
        env=clean_environment(repository),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def wait_for(what: Callable[[], Any], seconds: float = 150) -> Any:
    """What `what` returns once it is true.

    Raises:
        AssertionError: it never is.
    """
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)
    return found


def await_file(path: Path, seconds: float = 150) -> str:
    """Content of a file, once it has some."""
    return str(wait_for(lambda: path.is_file() and path.read_text(), seconds))


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
