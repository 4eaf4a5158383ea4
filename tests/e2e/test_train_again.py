"""Through `dvc repro` with the real dvc.yaml: a model is trained on after every kind of change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.house import change_params, copy_repository, write_code_lists
from tests.synthetic_shards import write_perceptual, write_recogniser, write_shards

MODEL = "ann-ben"


@pytest.fixture
def house(tmp_path: Path, repository: Path) -> Path:
    """The repository itself with two drawn people, whose shards are there, and one model."""
    root = copy_repository(repository, tmp_path / "house")
    for seed, identity in enumerate(("ann", "ben")):
        write_shards(root / "data/shards" / identity, identity, 8, seed=seed)
    (root / "data/packs").mkdir(exist_ok=True)
    write_recogniser(root / "data/packs/recogniser")
    write_perceptual(root / "data/packs/perceptual", None)
    write_code_lists(root)
    return root


def train(root: Path, images: int, **plan: Any) -> tuple[str, dict[str, Any]]:
    """`dvc repro` of the one stage; what it said, and config.json."""
    settings = {"size_px": 32, "width": 4}
    given = {"images": images, "batch_images": 4, "precision": "float32", **plan}
    entry = {"family": "autoencoder", "source": "ann", "target": "ben", **settings, "train": given}
    change_params(root, models={MODEL: entry})
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", f"train@{MODEL}"]
    bin_folder = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "LIKENESS_STATE": "state"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    config = json.loads((root / "data/models" / MODEL / "config.json").read_text())
    return done.stdout + done.stderr, config


@pytest.mark.slow(seconds=11)
@pytest.mark.timeout(600)
def test_dvc_repro_goes_on(house: Path) -> None:
    said, first = train(house, 32)
    assert f"{MODEL} images: 32 in" in said
    assert first["continues"] is None
    # A larger budget and other pictures on the way: the same training.
    said, longer = train(house, 64, preview_every_images=16, log_every_images=8)
    assert f"{MODEL} images: 32 in" in said
    assert (longer["images"], longer["continues"]) == (64, None)
    # Another setting and more data: a training of its own, which goes on.
    write_shards(house / "data/shards/ann", "ann", 12, seed=5)
    said, changed = train(house, 96, clip_gradient=1.0)
    line = f"{longer['trainings'][0]['fingerprint']} at 64 images"
    assert f"{MODEL}: continues: {line}" in said
    assert f"{MODEL} images: 32 in" in said
    assert changed["continues"] == line
