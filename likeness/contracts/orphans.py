"""A stage ends when the DVC that started it has died: left alone, it writes into a later run.

Standard library alone, and before all other imports of a stage, which take seconds: DVC may die
meanwhile. Between DVC and a stage may stand shells, whose end DVC's death does not bring.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox"})
POLL_S = 0.5
_followed: list[int] = []


def signal_on_parents_death() -> None:
    """Ask the kernel for SIGTERM when the parent dies; it lasts over an exec. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _facts(pid: int) -> tuple[str, int] | None:
    """Name and parent of a process; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if sys.platform == "linux" else _listed(pid)
    head, _, tail = text.rpartition(")")
    return head.partition("(")[2], int(tail.split()[1])


def _listed(pid: int) -> tuple[str, int] | None:
    """The same where there is no /proc (macOS)."""
    command = ["ps", "-o", "ppid=", "-o", "comm=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = done.stdout.split(maxsplit=1)
    return (Path(words[1].strip()).name.lstrip("-"), int(words[0])) if len(words) == 2 else None


def dvc_above() -> int:
    """The process that started this stage, shells left out; 0 if it has died.

    Whoever inherits orphans (the first process, a session's manager) has another session.
    """
    pid = os.getppid()
    while pid > 0:
        facts = _facts(pid)
        try:
            if facts is None or os.getsid(pid) != os.getsid(0):
                return 0
        except OSError:
            return 0
        if facts[0] not in SHELLS:
            return pid
        pid = facts[1]
    return 0


def _wait_end(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        while _facts(pid):
            time.sleep(POLL_S)
        return
    select.select([handle], [], [])
    os.close(handle)


def _follow(pid: int) -> None:
    _wait_end(pid)
    os.kill(os.getpid(), signal.SIGTERM)


def end_with_dvc() -> None:
    """End with SIGTERM when the process that started this stage dies, also if it has died already.

    Outside DVC (no DVC_STAGE in the environment) it is the parent alone that counts.
    """
    if _followed:
        return
    stage = os.environ.get("DVC_STAGE")
    dvc = dvc_above() if stage else 0
    signal_on_parents_death()
    _followed.append(dvc)
    if not stage:
        return
    if not dvc or dvc_above() != dvc:  # it died before the kernel was asked
        print(f"error: {stage}: its dvc has ended; run `dvc repro` again", file=sys.stderr)
        sys.exit(2)
    if dvc != os.getppid() or sys.platform != "linux":
        threading.Thread(target=_follow, args=(dvc,), daemon=True, name="end with dvc").start()
