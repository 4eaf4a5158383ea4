"""Stage `train` as a process: killed in the middle, wrong parameters, empty data, workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.swappers import registry
from tasks.train import STAGE
from tests.synthetic_shards import write_perceptual, write_recogniser, write_shards

FILES = ("model.safetensors", "config.json", "history.parquet", "preview.jpg")
PARAMS = """\
train: {{images: {images}, batch_images: 8, micro_batches: 2, log_every_images: 64}}
models:
  ann-ben:
    family: autoencoder
    source: ann
    target: ben
    size_px: 32
    width: 4{more}
"""
ONE_THREAD = {"LIKENESS_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Place:
    """A folder with two data sets, params.yaml and room for results and state."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder, self.repository = folder, repository
        write_shards(folder / "ann", "ann", 8, seed=1)
        write_shards(folder / "ben", "ben", 6, seed=2)
        write_recogniser(folder / "recogniser")
        write_perceptual(folder / "perceptual", None)
        self.write_params()

    def write_params(self, images: int = 640, more: str = "") -> None:
        (self.folder / "params.yaml").write_text(PARAMS.format(images=images, more=more))

    def arguments(self, out: str, source: str = "ann") -> list[str]:
        given = {"source": source, "target": "ben", "out": out, "params": "params.yaml"}
        given |= {name: name for name in ("recogniser", "perceptual")}
        pairs = [[f"--{name}", str(self.folder / value)] for name, value in given.items()]
        return ["--model", "ann-ben", *(part for pair in pairs for part in pair)]

    def begin(self, out: str, **environment: str) -> subprocess.Popen[str]:
        state = {"LIKENESS_STATE": str(self.folder / f"{out}-state")}
        return subprocess.Popen(
            [sys.executable, "-m", "tasks.train", *self.arguments(out)],
            cwd=self.repository,
            env={**os.environ, **ONE_THREAD, **state, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def await_checkpoint(self, out: str, step: int, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            names = [p.name for p in self.folder.glob(f"{out}-state/training/*/step-*")]
            if any(int(name[5:]) >= step for name in names):
                return
            time.sleep(0.005)
        raise AssertionError(f"ended before step {step}: {process.communicate()[0]}")

    def content(self, out: str) -> dict[str, bytes]:
        return {name: (self.folder / out / name).read_bytes() for name in FILES}


@pytest.fixture
def place(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in {**ONE_THREAD, "LIKENESS_STATE": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path, repository)


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    def run(arguments: list[str]) -> str:
        with pytest.raises(SystemExit) as caught:
            STAGE.main(arguments)
        assert caught.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        return said

    return run


@pytest.mark.slow
def test_kill_9_in_the_middle_changes_nothing(place: Place) -> None:
    STAGE.execute(place.arguments("whole"))
    killed = place.begin("killed", LIKENESS_CHECKPOINT_S="0")
    place.await_checkpoint("killed", 9, killed)
    killed.kill()
    killed.wait()
    assert not (place.folder / "killed").exists()
    left = sorted(place.folder.glob("killed-state/training/*/step-*"))
    assert 9 <= int(left[-1].name[5:]) < 40
    again = place.begin("killed")
    said = again.communicate()[0]
    assert again.returncode == 0, said
    assert place.content("killed") == place.content("whole")
    # The second process trained the rest, not everything.
    assert "ann-ben images: 640 in" not in said
    (last,) = place.folder.glob("killed-state/training/ann-ben/step-*")
    assert last.name == "step-000000040"  # from which a larger budget goes on


def test_writes_a_model_that_loads(place: Place) -> None:
    place.write_params(images=64, more="\n    train: {precision: float32}")
    STAGE.execute(place.arguments("out"))
    swapper = registry.load(place.folder / "out")
    assert (swapper.family, swapper.size_px) == ("autoencoder", 32)
    text = (place.folder / "out" / "config.json").read_text()
    assert '"precision": "float32"' in text  # models.ann-ben.train overrides train
    assert '"pack": "drawn"' in text


@pytest.mark.parametrize(
    "more",
    ["\n    train: {micro_batches: 4, images: 96}", "\n    train: {images: 32, ema: 0.9}"],
)
def test_threads_change_no_byte(place: Place, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    place.write_params(more=more)
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("LIKENESS_THREADS", threads)
        monkeypatch.setenv("LIKENESS_STATE", str(place.folder / f"state-{threads}"))
        STAGE.execute(place.arguments(threads))
    assert place.content("1") == place.content("2") == place.content("3")


def test_threads_change_no_byte_of_what_is_only_taken(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (place.folder / "params.yaml").read_text()
    keys = "mesh_transfer\n    max_foreign: 1.0"
    text = text.replace("autoencoder", keys).replace("size_px: 32\n    width: 4", "size_px: 64")
    (place.folder / "params.yaml").write_text(text)
    found = []
    for threads in ("1", "2", "4"):
        monkeypatch.setenv("LIKENESS_THREADS", threads)
        torch.set_num_threads(int(threads))
        STAGE.execute(place.arguments(threads))
        found.append({name: (place.folder / threads / name).read_bytes() for name in FILES})
    assert found[0] == found[1] == found[2]


def test_lessons_by_chance_are_the_same_to_the_byte(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (place.folder / "params.yaml").read_text()
    keys = "mesh_residual\n    max_foreign: 1.0\n    identity: 0.1\n    train: {images: 48}"
    text = text.replace("autoencoder", keys).replace("size_px: 32", "size_px: 64")
    (place.folder / "params.yaml").write_text(text.replace("width: 4", "width: 24"))
    for run, threads in (("once", "1"), ("again", "1"), ("beside", "2")):
        monkeypatch.setenv("LIKENESS_THREADS", threads)
        monkeypatch.setenv("LIKENESS_STATE", str(place.folder / f"state-{run}"))
        STAGE.execute(place.arguments(run))
    assert place.content("once") == place.content("again") == place.content("beside")
    drawn = registry.load(place.folder / "once").state_dict()["network.leave.weight"]
    assert drawn.any()  # it began at zero


def test_empty_shards_are_named_with_the_next_step(
    place: Place, failure: Callable[[list[str]], str]
) -> None:
    write_shards(place.folder / "empty", "ann", 0)
    said = failure(place.arguments("out", source="empty"))
    assert f"{place.folder / 'empty'}: the train shards hold no crops; add footage" in said
    assert not (place.folder / "out").exists()


def test_shards_of_somebody_else_are_refused(
    place: Place, failure: Callable[[list[str]], str]
) -> None:
    assert "is of `ben`, not `ann`" in failure(place.arguments("out", source="ben"))


def test_consent_without_training_is_respected(
    place: Place, failure: Callable[[list[str]], str]
) -> None:
    manifest = place.folder / "ann" / "manifest.json"
    manifest.write_text(json.dumps({"identity": "ann", "training": False}))
    assert "the consent of `ann` does not allow training" in failure(place.arguments("out"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("\n    widht: 8", r"params.yaml:9: unknown key `models.ann-ben.widht`; did you mean"),
        ("\n    bottleneck: fully", "params.yaml:9: `models.ann-ben.bottleneck: fully` is not"),
        ("\n    train: {epochs: 3}", "unknown key `train.epochs`"),
    ],
)
def test_wrong_settings_name_the_line(
    place: Place, failure: Callable[[list[str]], str], more: str, said: str
) -> None:
    place.write_params(more=more)
    assert said in failure(place.arguments("out"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIKENESS_WORKERS", "two"),
        ("LIKENESS_WORKERS", "-1"),
        ("LIKENESS_WORKERS", "1.5"),
        ("LIKENESS_THREADS", "0"),
        ("LIKENESS_THREADS", "all"),
        ("LIKENESS_CHECKPOINT_S", "soon"),
        ("LIKENESS_CHECKPOINT_S", "nan"),
    ],
)
def test_settings_of_the_machine_that_are_no_numbers_are_refused(
    place: Place,
    failure: Callable[[list[str]], str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert f"{name}: `{value}` is no " in failure(place.arguments("out"))
    assert not (place.folder / "out").exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "no cluster answers (["),
        ("nowhere", "no cluster answers (invalid literal"),
        ("ray://127.0.0.1:10001", "is of Ray Client, which cannot train; name the head"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(
    place: Place,
    failure: Callable[[list[str]], str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    said: str,
) -> None:
    monkeypatch.setenv("LIKENESS_WORKERS", "2")
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert f"error: RAY_ADDRESS={address}: {said}" in failure(place.arguments("out"))


def test_ray_that_does_not_start_is_one_line(place: Place) -> None:
    ended = place.begin("out", LIKENESS_WORKERS="2", RAY_ADDRESS="", RAY_TMPDIR="/proc/none")
    said = ended.communicate()[0]
    assert ended.returncode == 2
    assert said.startswith("error: ray: did not start on this machine (")
    assert said.count("\n") == 1
