"""`.venv/bin/dvc repro` where nothing is activated: stages find the project's own interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.contracts.documents import load_yaml
from tests.flows.stub import dvc
from tests.house import copy_repository, enrol, write_consent

OTHER = "#!/bin/sh\necho 'this is another python' >&2\nexit 1\n"


@pytest.fixture(scope="module")
def root(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_repository(repository, tmp_path_factory.mktemp("house") / "repo")
    write_consent(folder, "ann")
    enrol(folder, "ann")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.parametrize("has", ["another python", "no python"])
def test_stages_run_without_activation(root: Path, tmp_path: Path, has: str) -> None:
    if has == "another python":
        (tmp_path / "python").write_text(OTHER)
        (tmp_path / "python").chmod(0o755)
    out = root / "data/rosters/ann.json"
    out.unlink(missing_ok=True)
    environment = {"PATH": str(tmp_path), "HOME": os.environ["HOME"], "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [root / ".venv/bin/dvc", "repro", "data/identities/ann/dvc.yaml:roster"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert out.is_file()


def test_every_stage_starts_so(repository: Path) -> None:
    for file in ("dvc.yaml", "tasks/clip.dvc.yaml", "tasks/identity.dvc.yaml"):
        for name, stage in load_yaml(repository / file)["stages"].items():
            assert stage.get("do", stage)["cmd"].startswith("/bin/sh tasks/python -m tasks."), name


def test_a_stage_that_cannot_start_loses_nothing(root: Path, tmp_path: Path) -> None:
    """No .venv, and another python: one line, and the roster of before is still there."""
    address = "data/identities/ann/dvc.yaml:roster"
    dvc(root, "repro", address)
    before = (root / "data/rosters/ann.json").read_bytes()
    (tmp_path / "python").symlink_to(f"{sys.base_prefix}/bin/python3")
    (root / ".venv").rename(tmp_path / "aside")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "repro", address],
            cwd=root,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": os.environ["HOME"]},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (tmp_path / "aside").rename(root / ".venv")
    assert done.returncode != 0
    assert "run `make setup`" in done.stderr and "Traceback" not in done.stderr
    assert (root / "data/rosters/ann.json").read_bytes() == before


def test_a_withdrawn_consent_takes_the_roster_away(root: Path) -> None:
    dvc(root, "repro", "data/identities/ann/dvc.yaml:roster")
    record = write_consent(root, "ann")
    with record.open("a") as handle:
        handle.write("revoked: 2026-01-01\n")
    with pytest.raises(AssertionError, match="revoked"):
        dvc(root, "repro", "data/identities/ann/dvc.yaml:roster")
    assert not (root / "data/rosters/ann.json").exists()
    write_consent(root, "ann")
