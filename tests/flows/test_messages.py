"""Wrong things typed into commands: one line, code 2, and what was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import change_params, copy_repository, enrol, write_consent

ENTRY = {"source": "ann", "target": "ann"}


@pytest.fixture(scope="module")
def root(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_repository(repository, tmp_path_factory.mktemp("house") / "repo")
    write_consent(folder, "ann")
    enrol(folder, "ann")
    (folder / "set/manipulated_sequences/FaceSwap/c23/videos").mkdir(parents=True)
    (folder / "file").write_text("x")
    clip = folder / "data/clips/take-1"
    clip.mkdir()
    lines = ("clip: take-1", "identity: ann", "role: source", "consent: ann-2026", "licence: own")
    (clip / "clip.yaml").write_text("\n".join([*lines, "footage: footage.mp4"]) + "\n")
    (clip / "footage.mp4").write_bytes(b"")
    change_params(folder, models={"mesh": {"family": "mesh_transfer", **ENTRY}})
    return folder


def said(root: Path, *arguments: str | bytes) -> str:
    """The one line of a command that ends with code 2."""
    command = [sys.executable, "-m", "flows.cli", *arguments]
    done = subprocess.run(
        command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    line = (done.stdout + done.stderr).strip()
    assert line.startswith("error: ") and "\n" not in line
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["query", "--identity", "nobody"], ["no identity `nobody`", "known: ann"]),
        (["query", "--identity", "Dan"], ["no valid identity name", "`dan`"]),
        (["query", "yaww > 1", "--identity", "ann"], ["data/crops/ann: holds no crops yet"]),
        (["train", "mash"], ["did you mean `mesh`?"]),
        (["train", "mesh", "--minutes", "nan"], ["--minutes", "no time"]),
        (["export-frames", "take-2", "out"], ["did you mean `take-1`?"]),
        (["export-frames", "take-1", "data/clips/take-1"], ["lies in data"]),
        (["export-frames", "take-1", "file"], ["file: is a file"]),
        (["export-frames", "take-1", "file/below"], ["is a file"]),
        (["export-frames", "take-1", ""], ["the repository itself"]),
        (["export-frames", "take-1", "--", "-x"], ["is empty (0 bytes)"]),
        (["benchmark-ff", "nowhere"], ["nowhere: is no folder"]),
        (["benchmark-ff", "set", "--out", "data/x"], ["lies in data"]),
        (["benchmark-ff", "set", "--method=-x"], ["holds no method `-x`", "FaceSwap"]),
        (["ui", "--port", "99999"], ["65535"]),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(
    root: Path, arguments: list[str], words: list[str]
) -> None:
    line = said(root, *arguments)
    for word in words:
        assert word in line
    assert not list(root.glob("-x")) and (root / "file").read_text() == "x"


def test_an_unknown_family_is_answered_by_families_alone(root: Path) -> None:
    before = (root / "params.yaml").read_text()
    change_params(root, models={"mesh": {"family": "mesh_transfr", **ENTRY}})
    try:
        line = said(root, "swap")
    finally:
        (root / "params.yaml").write_text(before)
    assert "params.yaml:" in line and "did you mean `mesh_transfer`?" in line
    assert "saehd" in line and "`_" not in line and ", _" not in line


def test_names_that_are_no_utf8_end_no_command(root: Path) -> None:
    assert "does not exist" in said(
        root, "add", os.fsencode("no\udcff.mp4"), "--identity=ann", "--role=source", "--clip=c"
    )
