"""DVC's locks: taken, waited for in one line, and healed after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from likeness.contracts.dvclock import (
    Waiting,
    entries,
    heal,
    held,
    is_refusal,
    owner_of,
    patiently,
)

HOLD = """\
import sys
from zc.lockfile import LockFile
lock = LockFile(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path


def note(root: Path, pid: int, command: str, path: str = "data/x", mode: str = "write") -> Path:
    info = {"pid": pid, "cmd": command}
    content = {mode: {str(root / path): info if mode == "write" else [info]}}
    file = root / ".dvc/tmp/rwlock"
    file.write_text(json.dumps(content))
    return file


def other(root: Path) -> subprocess.Popen[str]:
    """Another process that holds the repository's lock until its input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root / ".dvc/tmp/lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_one_line_says_for_whom_then_silence(root: Path) -> None:
    child = other(root)
    said: list[str] = []
    assert owner_of(root) == child.pid
    with held(root, said.append, wait_s=1.0) as mine:
        assert not mine
    assert said == [f"waiting for another run (process {child.pid})"]
    threading.Timer(0.5, child.communicate).start()
    with held(root) as mine:
        assert mine
        assert owner_of(root) == os.getpid()
    assert owner_of(root) == 0


def test_without_dvc_nothing_is_waited_for(tmp_path: Path) -> None:
    with held(tmp_path) as mine:
        assert not mine
    assert heal(tmp_path) == []
    assert not (tmp_path / ".dvc").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"write": {"a": 3}}', "\x00" * 40])
def test_a_broken_file_that_belongs_to_nobody_is_healed(root: Path, content: str) -> None:
    file = root / ".dvc/tmp/rwlock"
    file.write_text(content)
    (said,) = heal(root)
    assert "broken" in said
    assert json.loads(file.read_text()) == {}
    assert heal(root) == []


def test_entries_of_the_dead_go_and_those_of_the_living_stay(root: Path) -> None:
    command = " ".join(["x", *sys.argv[1:]])
    file = note(root, os.getpid(), command)
    assert heal(root) == []
    assert [(e.pid, e.writes) for e in entries(root)] == [(os.getpid(), True)]
    dead = ended_pid()
    file = note(root, dead, "dvc repro", mode="read")
    assert entries(root) == []
    assert heal(root) == [f"{file} named process {dead}, which has ended"]
    assert json.loads(file.read_text()) == {"read": {}, "write": {}}


def test_a_number_that_another_program_has_by_now_blocks_nobody(root: Path) -> None:
    note(root, os.getppid(), "/somewhere/dvc repro train@that-was-killed")
    assert entries(root) == []
    assert len(heal(root)) == 1


def test_a_refused_path_is_waited_for_by_name(root: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()", "repro"], stdin=subprocess.PIPE)
    note(root, child.pid, "dvc repro", path="data/models/x")
    refusal = "ERROR: 'data/models/x/a.bin' is busy, it is being blocked by:"
    assert is_refusal(refusal)
    answers = iter([refusal, ""])
    said: list[str] = []
    threading.Timer(0.5, child.communicate).start()
    patiently(lambda: next(answers), root, said.append)
    assert said == [f"waiting for another run (process {child.pid})"]
    Waiting(root, said.append).until_free("'data/other' is busy, it is being blocked by")
    assert len(said) == 1
