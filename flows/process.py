"""Child processes that can be watched line by line and ended with all their descendants.

DVC starts a shell, the shell a stage, the stage perhaps workers. Each command gets a process
group of its own; whoever stops waiting for it (Ctrl-C, a cancelled run) ends the whole group,
because a stage left behind would write into outputs that the next run deletes. If we are killed
ourselves, the kernel ends the command, and a stage ends with its DVC (contracts/orphans.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

GRACE_S = 10.0
"""Seconds between SIGTERM and SIGKILL; a stage needs them to remove its temporary files."""

CHILD = Path(__file__).with_name("child.py").resolve()
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][A-Z0-9]?")
_groups: set[int] = set()
_groups_guard = threading.Lock()


def environment() -> dict[str, str]:
    """Environment for DVC and for stages: this interpreter first on PATH, telemetry off."""
    folder = str(Path(sys.executable).parent)
    rest = os.environ.get("PATH", os.defpath)
    return {
        **os.environ,
        "PATH": folder + os.pathsep + rest,
        "PYTHONUNBUFFERED": "1",  # progress appears when it happens, also through a pipe
        "DVC_NO_ANALYTICS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def plain(line: str) -> str:
    """`line` as it stands on the screen in the end: no colours, no overwritten progress."""
    return _ANSI.sub("", line).rstrip("\r\n").rsplit("\r", 1)[-1].rstrip()


def group_members(group: int) -> list[int]:
    """Living processes (zombies left out) of a process group."""
    if not Path("/proc/self/stat").exists():
        return _listed_members(group)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in brackets may hold spaces; state, parent and group follow it.
                state, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(number) == group and state not in "ZX":
                    found.append(int(entry.name))
    return found


def _listed_members(group: int) -> list[int]:
    """The same where there is no /proc (macOS): POSIX ps knows it, too."""
    command = ["ps", "-A", "-o", "pid=", "-o", "pgid=", "-o", "stat="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [
        int(pid) for pid, number, state in rows if int(number) == group and state[0] not in "ZX"
    ]


def _wait_empty(group: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while group_members(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def end_group(group: int, grace_s: float = GRACE_S) -> None:
    """End every process of a group: SIGTERM, `grace_s` seconds, then SIGKILL."""
    if not group_members(group):
        return
    for number, seconds in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        if _wait_empty(group, seconds):
            return


def end_all(grace_s: float = GRACE_S) -> None:
    """End every group that this process has started and not yet seen the end of."""
    with _groups_guard:
        groups = list(_groups)
    threads = [threading.Thread(target=end_group, args=(g, grace_s)) for g in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _channel(terminal: bool) -> tuple[int, int]:
    """Both ends of what the child writes into: a pseudo-terminal keeps its progress bars."""
    if not terminal:
        return os.pipe()
    ours, theirs = pty.openpty()
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    return ours, theirs


def _chunks(handle: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(handle, 65536)
        except OSError:  # a pseudo-terminal answers EIO once the last writer has closed it
            return
        if not chunk:
            return
        yield chunk


def _never() -> bool:
    return False


def _relay(
    handle: int, on_line: Callable[[str], object], echo: bool, hushed: Callable[[], bool]
) -> None:
    pending, shown = b"", 0
    for chunk in _chunks(handle):
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            on_line(plain(line.decode(errors="replace")))
            if echo and not hushed():
                sys.stdout.buffer.write(line[shown:] + b"\n")
            shown = 0
        # Progress comes without an end of line; an error waits for its end, and may be hushed.
        text = plain(pending.decode(errors="replace"))
        if echo and not hushed() and not text.startswith(("ERROR", "WARNING", "error:")):
            sys.stdout.buffer.write(pending[shown:])
            shown = len(pending)
        sys.stdout.buffer.flush()
    if pending:
        on_line(plain(pending.decode(errors="replace")))
        if echo and not hushed():
            sys.stdout.buffer.write(pending[shown:])
            sys.stdout.buffer.flush()


def bound(command: Sequence[str]) -> list[str]:
    """`command`, ended by the kernel if this process is killed and cannot end it itself."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), *command]


def stream(
    command: Sequence[str],
    on_line: Callable[[str], object],
    *,
    folder: Path | None = None,
    echo: bool = False,
    extra: Mapping[str, str] | None = None,
    grace_s: float = GRACE_S,
    hushed: Callable[[], bool] = _never,
) -> int:
    """Run `command` in its own process group and hand over each line it prints.

    Args:
        on_line: receives stdout and stderr, in order, without colours.
        echo: also copy the bytes to our stdout; on a terminal the child sees one, too.
        extra: additional environment.
        grace_s: see `end_group`.
        hushed: asked after each line whether it, and what follows, is not to be copied.

    Returns:
        The exit code (negative: the signal). The group is empty when this returns or raises.
    """
    ours, theirs = _channel(terminal=echo and sys.stdout.isatty())
    try:
        child = subprocess.Popen(
            bound(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**environment(), **(extra or {})},
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    with _groups_guard:
        _groups.add(child.pid)
    try:
        _relay(ours, on_line, echo, hushed)
        return child.wait()
    finally:
        end_group(child.pid, grace_s)
        child.wait()
        os.close(ours)
        with _groups_guard:
            _groups.discard(child.pid)
