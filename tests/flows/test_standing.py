"""A roster is not worked out again while its documents, its code and the day are what they were."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.clips import clip_text
from flows.process import environment
from likeness.contracts import standing
from likeness.contracts.catalog import Clip
from likeness.contracts.documents import load_yaml
from tests.house import copy_repository, enrol, write_consent

ADDRESS = "data/identities/ann/dvc.yaml:roster"
MARK = "this came from the note"


def lay(root: Path, clip: str) -> Path:
    """A clip's document; a roster reads no more of it."""
    path = root / "data/clips" / clip / "clip.yaml"
    path.parent.mkdir(exist_ok=True)
    record = Clip(
        clip=clip, identity="ann", role="source", consent="ann-2026", licence="test"
    )  # fmt: skip
    path.write_text(clip_text(record))
    return path


@pytest.fixture
def house(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One person with one clip, her roster made by DVC."""
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))
    root = copy_repository(repository, tmp_path / "repo")
    write_consent(root, "ann")
    enrol(root, "ann")
    lay(root, "ann-1")
    code, said = repro(root)
    assert code == 0, said
    assert "ann has 1 clip\n" in said
    return root


def repro(root: Path) -> tuple[int, str]:
    """Exit code and words of `dvc repro` for names and roster."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "names", ADDRESS],
        cwd=root, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def marked(root: Path) -> None:
    """Let the note say something that no stage says."""
    (path,) = (root.parent / "state/rosters").iterdir()
    before, content, _ = path.read_text().splitlines()
    path.write_text(f"{before}\n{content}\n{MARK}\n")


def test_dvc_finds_a_roster_standing_until_consent_ends(house: Path) -> None:
    roster = house / "data/rosters/ann.json"
    first = roster.read_bytes()
    marked(house)
    code, said = repro(house)
    assert code == 0
    assert MARK in said
    assert roster.read_bytes() == first
    write_consent(house, "ann", revoked="2026-01-02")
    code, said = repro(house)
    assert code != 0
    assert "was revoked on 2026-01-02" in said
    assert not roster.exists()
    write_consent(house, "ann")  # every document is again as the note knows it
    code, said = repro(house)
    assert code == 0, said
    assert roster.read_bytes() == first


@pytest.fixture
def asked(house: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process as DVC would have started it; the note is good."""
    monkeypatch.chdir(house)
    monkeypatch.setenv("DVC_STAGE", ADDRESS)
    monkeypatch.setattr(sys, "orig_argv", ["python", *standing.COMMAND])
    monkeypatch.setattr(standing, "CODE", house)
    before, text = standing.state("ann"), (house / "data/rosters/ann.json").read_text()
    standing.note("ann", before, text, MARK)
    assert standing.standing() == MARK
    return house


def test_whatever_a_roster_is_made_from_has_it_worked_out(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip more or less, a document or the roster changed, other code, another day."""
    clip = lay(asked, "ann-2")
    assert standing.standing() == ""
    clip.unlink()
    assert standing.standing() == MARK
    for name in ("data/consents/ann-2026.yaml", "data/identities/ann/identity.yaml",
                 "data/clips/ann-1/clip.yaml", "params.yaml", "data/rosters/ann.json",
                 "tasks/roster.py"):  # fmt: skip
        path, content = asked / name, (asked / name).read_bytes()
        status = path.stat()
        path.write_bytes(content + b"\n# more\n")
        assert standing.standing() == "", name
        path.unlink()
        assert standing.standing() == "", name
        path.write_bytes(content)
        if path.suffix == ".py":
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert standing.standing() == MARK, name
    tomorrow = time.gmtime(time.time() + 86_400)
    monkeypatch.setattr(standing.time, "gmtime", lambda: tomorrow)
    assert standing.standing() == ""


def test_only_dvcs_own_command_is_answered(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", *standing.COMMAND, "--params", "other.yaml"])
    assert standing.standing() == ""
    monkeypatch.setattr(sys, "orig_argv", ["python", *standing.COMMAND])
    monkeypatch.setenv("DVC_STAGE", "data/identities/../ann/dvc.yaml:roster")
    assert standing.standing() == ""


def test_a_change_while_the_roster_is_made_is_not_noted(asked: Path) -> None:
    before, text = standing.state("ann"), (asked / "data/rosters/ann.json").read_text()
    lay(asked, "ann-2")
    standing.note("ann", before, text, "too early")
    assert standing.standing() == ""


def test_the_command_is_that_of_the_graph(repository: Path) -> None:
    stage = load_yaml(repository / "tasks/identity.dvc.yaml")["stages"]["roster"]
    assert tuple(shlex.split(stage["cmd"])[2:]) == standing.COMMAND
