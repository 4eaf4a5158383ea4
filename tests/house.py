"""A copy of this repository without clips, people, models and swaps."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.identities import write_identity
from likeness.contracts.closure import lists
from likeness.contracts.environment import state_folder
from likeness.contracts.listed_code import FOLDER
from likeness.media.footage import open_footage
from tests.footage import make_clip

PEOPLE = ("data/clips", "data/consents", "data/identities")
SKIPPED = ("docs/", "tests/", "benchmarks/", *(f"{name}/" for name in PEOPLE), "dvc.lock")

CONSENT = """\
consent: {name}
identity: {identity}
roles:
  - source
  - target
basis: signed by the person in the room
use: tests of this repository
training: true
"""


def copy_repository(repository: Path, root: Path) -> Path:
    """Copy all code and settings to `root`, as a git and DVC repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if name.startswith(SKIPPED) or not (repository / name).is_file():
            continue
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / name, target)
    for name in PEOPLE:
        (root / name).mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    change_params(root, models={}, swaps={})
    return root


def write_code_lists(root: Path) -> None:
    """What stage `code` writes, for stages that are run alone."""
    for name, text in lists(root).items():
        path = root / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def link_downloads(repository: Path, root: Path) -> None:
    """Let a test repository find what this one has fetched, and keep all other state its own."""
    downloads = repository / state_folder() / "downloads"
    if not downloads.is_dir():
        pytest.skip("the weights are not here; run `likeness fetch`")
    (root / ".likeness").mkdir()
    (root / ".likeness/downloads").symlink_to(downloads)


def change_params(root: Path, **sections: dict[str, object]) -> None:
    """Replace sections of params.yaml."""
    yaml = YAML()
    path = root / "params.yaml"
    content = yaml.load(path.read_text())
    content.update(sections)
    with path.open("w") as handle:
        yaml.dump(content, handle)


def enrol(root: Path, *identities: str) -> None:
    """Write the documents of identities, each with the consent `<identity>-2026`."""
    for identity in identities:
        write_identity(identity, f"{identity}-2026", root)


def write_consent(root: Path, identity: str, name: str = "", **changes: str) -> Path:
    """Write a complete consent record; `changes` replaces lines by key ("" drops the line)."""
    name = name or f"{identity}-2026"
    path = root / "data/consents" / f"{name}.yaml"
    lines = CONSENT.format(name=name, identity=identity).splitlines()
    for key, value in changes.items():
        lines = [line for line in lines if not line.startswith(f"{key}:")]
        lines += [f"{key}: {value}"] if value else []
    path.write_text("\n".join(lines) + "\n")
    return path


def cut(footage: Path, target: Path, indices: range) -> Path:
    """Write the frames `indices` of `footage` as a small film of their own, with sound."""
    pictures = {
        frame.frame_index: frame.rgb() for frame in open_footage(footage).frames(set(indices))
    }
    height, width = pictures[indices[0]].shape[:2]
    return make_clip(
        target,
        frames=len(indices),
        size=(width, height),
        audio="aac",
        picture=lambda index, _size: pictures[indices[index]],
        options={"crf": "16", "preset": "ultrafast"},
    )
