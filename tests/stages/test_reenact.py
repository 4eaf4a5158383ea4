"""Swaps of mode `reenact`: a model driven by a clip, whole crops as a film, and what follows it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness.contracts.errors import FootageError, ParamsError
from likeness.contracts.params.train import Plan
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.traces import TRACES
from likeness.evaluation.face import FaceRow
from likeness.evaluation.views import mask_affine
from likeness.media.footage import open_footage
from likeness.media.frame import Frame
from likeness.vision import alignment
from likeness.vision.alignment import rescaled
from models.swappers import registry
from models.training.job import Job
from models.training.loop import train
from models.training.results import write_results
from tasks import blend, convert, traces
from tasks._whole import LEAST_PX, cropped, in_crop, side_of
from tests.footage import audio_packets, packet_times
from tests.swapcase import PARAMS, PTS, SIZE_PX, SWAP, Case, Drawn, face_affine, make_case
from tests.swapper_cases import TINY
from tests.synthetic_shards import write_recogniser, write_shards

WHOLE = "blend: {mode: crop, crf: 0, preset: ultrafast}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that gives each crop back."""
    monkeypatch.setattr(registry, "load", lambda _folder: Drawn().eval())


def film(case: Case, settings: str = WHOLE) -> list[Frame]:
    """Run convert and blend; give the frames of the film."""
    Path("params.yaml").write_text(PARAMS + settings)
    convert.STAGE.execute(case.convert_arguments())
    blend.STAGE.execute(case.blend_arguments())
    return list(open_footage(case.swap / "render.mp4").frames())


def seen(case: Case, crop_px: int | None = None) -> list[Frame]:
    """The target as the film shows it."""
    render = open_footage(case.swap / "render.mp4")
    found = cropped(open_footage(case.footage), case.swap / "converted.parquet", render, crop_px)
    return list(found.frames())


def apart(one: Frame, other: Frame) -> float:
    return float(np.abs(one.rgb().astype(int) - other.rgb()).mean())


def test_a_model_driven_by_a_clip_gives_a_film_of_its_crops() -> None:
    case = make_case(Path())
    torch.set_num_threads(1)
    shards = [write_shards(Path("shards") / who, who, 8, seed=s) for s, who in enumerate("ab")]
    plan = Plan(images=16, batch_images=4, precision="float32")
    out, state = Path("out"), Path("state")
    out.mkdir()
    job = Job("tiny", "pix2pix", TINY["pix2pix"], plan, shards[0], shards[1], out, state,
              recogniser=write_recogniser(Path("recogniser")))  # fmt: skip
    write_results(train(job, device=torch.device("cpu")))
    config = json.loads((out / "config.json").read_text()) | {"source": "ann", "target": "ben"}
    (out / "config.json").write_text(json.dumps(config))
    for file in out.iterdir():
        file.replace(case.model / file.name)
    shown = film(case, "convert: {precision: float32}\n" + WHOLE)
    assert CONVERTED.check(case.swap / "converted.parquet")["family"] == "pix2pix"
    assert len(shown) == len(PTS)
    assert all(frame.rgb().shape == (LEAST_PX, LEAST_PX, 3) for frame in shown)
    # Whoever drives is not in the picture.
    assert min(apart(a, b) for a, b in zip(shown, seen(case), strict=True)) > 20


@pytest.mark.usefixtures("copied")
def test_the_film_shows_the_crops_at_the_targets_times_with_its_sound() -> None:
    case = make_case(Path())
    shown = film(case)
    result = case.swap / "render.mp4"
    assert packet_times(result) == packet_times(case.footage) == PTS
    assert audio_packets(result) == audio_packets(case.footage)
    assert side_of(None, SIZE_PX) == LEAST_PX
    for frame, wanted in zip(shown, seen(case), strict=True):
        assert frame.luma().shape == (LEAST_PX, LEAST_PX)
        # Both show the same; the crop went through 96 px and JPEG on its way.
        assert apart(frame, wanted) < 3
    again = result.read_bytes()
    film(case)
    assert result.read_bytes() == again


@pytest.mark.usefixtures("copied")
def test_the_side_can_be_chosen_but_not_too_small_for_the_label() -> None:
    case = make_case(Path())
    shown = film(case, WHOLE.replace("crop,", "crop, crop_px: 300,"))
    assert shown[0].luma().shape == (300, 300)
    assert seen(case, 300)[0].luma().shape == (300, 300)
    with pytest.raises(FootageError, match="is not 256x256"):
        seen(case)
    with pytest.raises(ParamsError, match="crop_px"):
        film(case, WHOLE.replace("crop,", "crop, crop_px: 128,"))


@pytest.mark.usefixtures("copied")
def test_of_two_faces_the_larger_one_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def affine(frame: int, track: int = 0) -> np.ndarray:
        scale = (1.2, 0.8)[track]  # crop px per frame px: the second face is larger
        return np.array([[scale, 0, -10.0 - frame], [0, scale, -5.0]])

    monkeypatch.setattr("tests.swapcase.face_affine", affine)
    case = make_case(Path(), tracks=(0, 1))
    shown = film(case)
    rows = CONVERTED.read(case.swap / "converted.parquet")
    scales = as_numpy(rows["affine_matrix"], (2, 3))[:, 0, 0]
    assert set(np.round(scales, 3)) == {1.2, 0.8}
    larger = np.array([[0.8, 0, -10.0], [0, 0.8, -5.0]])
    first = next(iter(open_footage(case.footage).frames())).rgb()
    wanted = alignment.warp_crop(first, rescaled(larger, SIZE_PX, LEAST_PX), LEAST_PX)
    assert np.abs(shown[0].rgb().astype(int) - wanted).mean() < 4
    for frame, cut in zip(shown, seen(case), strict=True):
        assert apart(frame, cut) < 3


@pytest.mark.usefixtures("copied")
def test_frames_without_a_face_repeat_the_crop_before(capsys: pytest.CaptureFixture[str]) -> None:
    case = make_case(Path(), gaps=(0, 1, 5))
    shown = film(case)
    assert shown[0].luma().max() <= 17  # black before the first face
    assert np.array_equal(shown[5].luma(), shown[4].luma())
    assert not np.array_equal(shown[6].luma(), shown[4].luma())
    assert "3 frames without a face repeat the crop before" in capsys.readouterr().err
    wanted = seen(case)
    assert [frame.decoded for frame in wanted] == [i not in {0, 1, 5} for i in range(len(PTS))]


@pytest.mark.usefixtures("copied")
def test_a_clip_without_faces_gives_a_black_film() -> None:
    case = make_case(Path(), tracks=())
    assert all(frame.luma().max() <= 17 for frame in film(case))


@pytest.mark.usefixtures("copied")
def test_a_face_row_of_the_frame_becomes_one_of_the_film() -> None:
    affine, points = face_affine(3), np.array([[60.0, 70.0], [80.0, 90.0]])
    mask = np.zeros((64, 64), np.uint8)
    row = FaceRow(0, 0, affine, np.zeros((5, 2)), np.zeros((468, 3)), np.zeros(3), mask,
                  mask_affine(affine, SIZE_PX, 64))  # fmt: skip
    moved = in_crop(row, 256)
    there = (alignment.apply(affine, points) + 0.5) * (256 / SIZE_PX) - 0.5
    for name in ("aligned", "to_mask"):
        before = alignment.apply(getattr(row, name), points)
        assert np.allclose(alignment.apply(getattr(moved, name), there), before)


@pytest.mark.usefixtures("copied")
def test_traces_of_a_film_are_taken_from_the_crops_on_both_sides() -> None:
    case = make_case(Path(), gaps=(1,))
    film(case, WHOLE + "traces: {max_faces: 50}\n")
    traces.STAGE.execute(
        [
            "--swap",
            SWAP,
            "--clip",
            str(case.clip / "clip.yaml"),
            "--frames",
            str(case.clip / "frames.parquet"),
            "--converted",
            str(case.swap / "converted.parquet"),
            "--render",
            str(case.swap / "render.mp4"),
            "--traces",
            "traces.parquet",
        ]
    )
    table = TRACES.read(Path("traces.parquet"))
    assert table["frame_index"].to_pylist()[::2] == [i for i in range(len(PTS)) if i != 1]
    real, swapped = (as_numpy(table["features"], (-1,))[side::2] for side in (0, 1))
    # The same picture on both sides but for JPEG: far nearer than two frames are to each other.
    assert np.abs(real - swapped).mean() < np.abs(real - real[::-1]).mean()
