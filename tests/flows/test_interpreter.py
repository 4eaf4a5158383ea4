"""`.venv/bin/dvc repro` where nothing is activated: stages find the project's own interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.contracts.documents import load_yaml
from tests.flows.house import change_params, copy_repository, write_consent

OTHER = "#!/bin/sh\necho 'this is another python' >&2\nexit 1\n"


@pytest.fixture(scope="module")
def root(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_repository(repository, tmp_path_factory.mktemp("house") / "repo")
    write_consent(folder, "ann")
    change_params(folder, identities={"ann": {"consent": "ann-2026"}})
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
        [root / ".venv/bin/dvc", "repro", "roster@ann"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert out.is_file()


def test_every_stage_starts_so(repository: Path) -> None:
    for file in ("dvc.yaml", "tasks/clip.dvc.yaml"):
        for name, stage in load_yaml(repository / file)["stages"].items():
            assert stage.get("do", stage)["cmd"].startswith("/bin/sh tasks/python -m tasks."), name
