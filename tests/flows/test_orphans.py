"""Nothing works on unseen: a stage ends with its DVC, and DVC with the command that started it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.commands import await_file, clean_environment, lives, start, wait_for

DVC_YAML = """\
stages:
  publish:
    foreach: {a: 1}
    do:
      cmd: sh -c "python lasting.py --out out/${key} --params lasting.yaml; true"
      outs: ["out/${key}"]
"""
LASTING = """\
import os, pathlib, time
from likeness.contracts.documents import Document
from likeness.contracts.stage import Context, Stage

def run(context):
    pathlib.Path("stage.pid").write_text(str(os.getpid()))
    context.outputs["out"].write_text("half")
    time.sleep(120)

Stage("lasting", Document, {}, {"out": None}, run).main()
"""


@pytest.fixture
def root(stub: Path) -> Path:
    (stub / "dvc.yaml").write_text(DVC_YAML)
    (stub / "lasting.py").write_text(LASTING)
    (stub / "lasting.yaml").write_text("lasting: {}\n")
    return stub


def test_a_stage_ends_with_its_dvc_also_behind_a_shell(root: Path, repository: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], cwd=root, env=clean_environment(repository)
    )
    stage = int(await_file(root / "stage.pid"))
    child.kill()
    child.wait()
    wait_for(lambda: not lives(stage), 30)
    assert list((root / "out").iterdir()) == []  # it removed its temporary file


def test_a_killed_command_leaves_nothing_running(root: Path, repository: Path) -> None:
    child = start(root, repository, "swap")
    stage = int(await_file(root / "stage.pid"))
    dvc = next(p for p in ancestors(stage) if "dvc" in words_of(p))
    child.kill()
    child.communicate()
    wait_for(lambda: not lives(dvc) and not lives(stage), 30)


def ancestors(pid: int) -> list[int]:
    found = [pid]
    while found[-1] > 1:
        stat = Path(f"/proc/{found[-1]}/stat").read_text()
        found.append(int(stat.rpartition(")")[2].split()[1]))
    return found


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def test_a_stage_whose_dvc_died_before_it_began_does_not_begin(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tasks.pack", "--out", "x", "--recogniser", "y"],
        cwd=repository,
        env={**os.environ, "DVC_STAGE": "pack"},
        start_new_session=True,  # as one whose parent died and who has been given to another
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: pack: its dvc has ended; run `dvc repro` again\n"
