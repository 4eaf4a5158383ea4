"""Commands beside a run: reading ones read, and what runs waits in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from likeness.contracts.dvclock import held
from tests.flows.commands import await_file, likeness, start

ALIGN_BEN = "data/clips/ben-1/dvc.yaml:align"


@pytest.fixture
def running(built: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`dvc repro` in the middle of a stage that lasts."""
    (built / "data/clips/ben-1/footage.txt").write_text("hold")
    child = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=built,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    await_file(built / "held")
    yield child
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def test_reading_commands_read_beside_a_run(
    built: Path, repository: Path, running: subprocess.Popen[bytes]
) -> None:
    rwlock = (built / ".dvc/tmp/rwlock").read_text()
    with held(built) as mine:  # as DVC does while it hashes and writes
        assert mine
        done = likeness(built, repository, "status", "--json")
        listed = likeness(built, repository, "list", "--json")
    assert (done.returncode, listed.returncode) == (0, 0), done.stdout + listed.stdout
    found = json.loads(done.stdout)
    assert found["stale"][ALIGN_BEN] == [f"is being made now (process {running.pid})"]
    assert "publish@ann-on-ben" in found["will_run"]
    assert (built / ".dvc/tmp/rwlock").read_text() == rwlock  # nothing of theirs is noted in it


def test_a_broken_note_of_paths_stops_no_command(built: Path, repository: Path) -> None:
    """What a kill leaves while DVC writes it: an empty file, which DVC itself refuses."""
    (built / ".dvc/tmp/rwlock").write_text("")
    assert likeness(built, repository, "status").returncode == 0
    done = likeness(built, repository, "swap")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_waits_for_another_in_one_line(
    built: Path, repository: Path, running: subprocess.Popen[bytes]
) -> None:
    child = start(built, repository, "swap")
    assert child.stdout is not None
    lines = [next(iter(child.stdout))]
    while "waiting for another run" not in lines[-1]:
        lines.append(next(iter(child.stdout)))
    assert lines[-1] == f"waiting for another run (process {running.pid})\n"
    (built / "go").touch()
    rest = child.communicate(timeout=240)[0]
    assert child.returncode == 0, rest
    for words in ("ERROR", "PID", "waiting for another run", "manually remove"):
        assert words not in "".join(lines[:-1]) + rest
