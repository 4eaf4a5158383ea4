"""`python -m tasks._train_command`: the stage goes on from it; the picture of the range test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from likeness.contracts.errors import LikenessError
from models.training.rates import RateCurve
from tasks._rate_picture import draw_rates
from tasks._train_command import job_for, try_rates, try_training
from tasks.train import STAGE
from tests.stages.test_train import ONE_THREAD, Place, place

__all__ = ["place"]


def test_the_stage_goes_on_from_a_trial(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write_params(images=96)
    STAGE.execute(place.arguments("whole"))
    monkeypatch.setenv("LIKENESS_STATE", str(place.folder / "tried-state"))
    job = job_for(STAGE, place.arguments("tried"))
    try_training(job, "train", None, 32)
    assert not (place.folder / "tried").exists()
    said = capsys.readouterr()
    assert "ann-ben: 32/96 images (" in said.out
    assert "64 images are left of the budget" in said.out
    assert "likeness train ann-ben\n" in said.out
    assert "dvc repro train@ann-ben\n" in said.out
    STAGE.execute(place.arguments("tried"))
    assert "ann-ben images: 64 in" in capsys.readouterr().err
    assert place.content("tried") == place.content("whole")


@pytest.mark.slow
def test_sigterm_saves_and_ends_with_130(place: Place) -> None:
    place.write_params(images=160_000)
    state = {"LIKENESS_STATE": str(place.folder / "state")}
    command = [sys.executable, "-m", "tasks._train_command", "train", *place.arguments("out")]
    trial = subprocess.Popen(
        command, cwd=place.repository, env={**os.environ, **ONE_THREAD, **state},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert trial.stdout is not None
    for line in trial.stdout:
        if "/160000 images" in line:
            trial.send_signal(signal.SIGTERM)
            break
    said = trial.communicate()[0]
    assert trial.returncode == 130, said
    assert "  checkpoint  " in said
    assert "stopped; run the same again to go on" in said
    (kept,) = (place.folder / "state").glob("training/*/step-*")
    assert int(kept.name[5:]) > 1
    assert len(list((place.folder / "state").glob("training/*/previews/*"))) == 1


def test_rates_are_tested_on_a_copy_that_is_thrown_away(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    try_rates(job_for(STAGE, place.arguments("out")), place.folder / "trials")
    said = capsys.readouterr().out
    assert said.splitlines()[1].startswith("autoencoder        5.0e-05")
    assert (place.folder / "trials/rates.png").read_bytes().startswith(b"\x89PNG")
    assert not list((place.folder / "state").glob("training/*"))


def test_missing_data_is_named(place: Place) -> None:
    with pytest.raises(LikenessError, match="absent: input of `train` is missing"):
        job_for(STAGE, place.arguments("out", source="absent"))


def test_the_picture_shows_flat_and_short_curves(tmp_path: Path) -> None:
    rates = np.geomspace(1e-7, 1, 30)
    flat = RateCurve("flat", 1e-3, rates, np.ones(30), np.ones(30))
    short = RateCurve("short", 1e-3, rates[:1], np.ones(1), np.ones(1))
    assert draw_rates([flat, short], tmp_path).stat().st_size > 5000
