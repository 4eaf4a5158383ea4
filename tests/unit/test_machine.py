"""Other systems and other interpreters: what is missing is done without, or said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import process
from flows.footage import copy_file
from likeness.contracts.environment import threads

ON_WINDOWS = """
import sys
sys.platform = "win32"
for name in ("fcntl", "pty", "termios", "resource"):
    sys.modules[name] = None
sys.argv[0] = "-m"
import {module}
"""


@pytest.mark.parametrize("module", ["flows.cli", "tasks.roster"])
def test_windows_is_refused_in_one_line(module: str, repository: Path) -> None:
    code = ON_WINDOWS.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "WSL" in done.stderr


def test_macos_counts_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIKENESS_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert threads() == os.cpu_count()


def test_macos_copies_footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    (tmp_path / "a").write_bytes(b"film" * 1000)
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"film" * 1000


def test_macos_knows_what_runs_in_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path
    monkeypatch.setattr(process, "Path", lambda p: here(str(p).replace("/proc", "/no-proc")))
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    assert process.group_members(child.pid) == [child.pid]
    process.end_group(child.pid)
    child.wait()
    assert process.group_members(child.pid) == []


def roster(root: Path, python: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "tasks.roster", "--help"]
    return subprocess.run(
        command, cwd=root, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )


def test_another_python_hands_over_to_the_projects_own(repository: Path) -> None:
    if not (repository / ".venv/bin/python").exists():
        pytest.skip("no .venv here")
    done = roster(repository, f"{sys.base_prefix}/bin/python3")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_an_environment_one_line_names_the_command(
    repository: Path, tmp_path: Path
) -> None:
    for name in ("tasks/__init__.py", "likeness/__init__.py", "likeness/contracts/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((repository / name).read_bytes())
    for name in ("likeness/contracts/machine.py", "likeness/contracts/orphans.py"):
        (tmp_path / name).write_bytes((repository / name).read_bytes())
    bare = f"{sys.base_prefix}/bin/python3"
    for _ in range(2):
        done = roster(tmp_path, bare)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and "run `make setup`" in done.stderr
        # An environment of another kind, without packages, is no way out, and no endless one.
        (tmp_path / ".venv/bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".venv/bin/python").unlink(missing_ok=True)
        (tmp_path / ".venv/bin/python").symlink_to(bare)
