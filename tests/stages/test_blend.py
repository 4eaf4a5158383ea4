"""Stage blend: what changes in a frame, what does not, and what happens to time and sound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from likeness.contracts.errors import FootageError, TableError
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.media.footage import open_footage
from likeness.media.frame import Frame
from likeness.vision import alignment, blending, patch
from likeness.vision.colour import SteadyColours
from likeness.vision.pasting import Face
from models.swappers import registry
from tasks import blend, convert
from tasks.blend import blend_face, composed, faces_by_frame
from tests.footage import audio_packets, make_truncated, noise, packet_times
from tests.swapcase import (
    FRAME_PX,
    PARAMS,
    PTS,
    SIZE_PX,
    SWAP,
    Case,
    Drawn,
    face_affine,
    make_case,
    scene,
    write_crops,
    write_frames,
)

LOSSLESS = "blend: {crf: 0, preset: ultrafast}\n"
SPACE = ("bt601", "limited")
CORNERS = np.array([[x, y] for x in (0.0, SIZE_PX) for y in (0.0, SIZE_PX)])
Planes = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "load", lambda _folder: Drawn().eval())


def paint(monkeypatch: pytest.MonkeyPatch, colour: tuple[float, float, float]) -> None:
    """Let the model return one colour."""
    monkeypatch.setattr(registry, "load", lambda _folder: Drawn(colour).eval())


def render(case: Case, settings: str = LOSSLESS) -> list[Frame]:
    """Run convert and blend; give the frames of the result."""
    Path("params.yaml").write_text(PARAMS + settings)
    convert.STAGE.execute(case.convert_arguments())
    blend.STAGE.execute(case.blend_arguments())
    return list(open_footage(case.swap / "render.mp4").frames())


def target(case: Case) -> list[Frame]:
    return list(open_footage(case.footage).frames())


def test_a_face_on_itself_gives_the_footage_back() -> None:
    case = make_case(Path())
    for shown, wanted in zip(render(case), target(case), strict=True):
        difference = np.abs(shown.rgb().astype(int) - wanted.rgb())
        assert difference.mean() < 0.5
        assert difference.max() <= 12


def test_outside_the_boxes_every_sample_is_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    paint(monkeypatch, (1.0, -1.0, -1.0))
    case = make_case(Path(), tracks=(0, 1))
    rows = "blend: {crf: 0, preset: ultrafast, colour: none}\n"
    for shown, wanted in zip(render(case, rows), target(case), strict=True):
        touched = np.zeros((FRAME_PX[1], FRAME_PX[0]), bool)
        for track in (0, 1):
            affine = face_affine(shown.frame_index, track)
            box = patch.paste_box(affine, CORNERS, *FRAME_PX)
            assert box is not None
            touched[box.y0 : box.y1, box.x0 : box.x1] = True
        for plane, before, step in zip(shown.planes(), wanted.planes(), (1, 2, 2), strict=True):
            outside = ~touched[::step, ::step]
            assert np.array_equal(plane[outside], before[outside])
            assert not np.array_equal(plane, before)
        red = shown.rgb()[70, 60 + 2 * shown.frame_index]
        assert red[0] > 240
        assert red[1:].max() < 12


def test_a_mask_of_nothing_leaves_the_frames_as_they_were(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    swapper = Drawn((1.0, 1.0, 1.0)).eval()
    swapper.blank = True
    monkeypatch.setattr(registry, "load", lambda _folder: swapper)
    case = make_case(Path())
    shown = render(case)
    for frame, wanted in zip(shown, target(case), strict=True):
        for plane, before in zip(frame.planes(), wanted.planes(), strict=True):
            assert np.array_equal(plane, before)
    assert "10 faces show nothing" in capsys.readouterr().err


def test_every_time_and_every_sound_packet_is_kept() -> None:
    case = make_case(Path())
    render(case, "")
    result = case.swap / "render.mp4"
    assert packet_times(result) == packet_times(case.footage) == PTS
    assert audio_packets(result) == audio_packets(case.footage)
    assert len(audio_packets(result)) > 5


def test_the_same_input_gives_the_same_bytes() -> None:
    case = make_case(Path())
    render(case, "")
    first = (case.swap / "render.mp4").read_bytes()
    render(case, "")
    assert (case.swap / "render.mp4").read_bytes() == first


def test_a_clip_without_faces_is_copied_through_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = make_case(Path(), tracks=())
    shown = render(case)
    for frame, wanted in zip(shown, target(case), strict=True):
        for plane, before in zip(frame.planes(), wanted.planes(), strict=True):
            assert np.array_equal(plane, before)
    said = capsys.readouterr().err
    assert f"{SWAP}: no face to lay; the target is copied through" in said


def test_frames_between_faces_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    paint(monkeypatch, (1.0, 1.0, 1.0))
    case = make_case(Path(), gaps=(2, 3, 9))
    for shown, wanted in zip(render(case), target(case), strict=True):
        same = np.array_equal(shown.luma(), wanted.luma())
        assert same == (shown.frame_index in {2, 3, 9})


def test_undecodable_frames_repeat_the_one_before_and_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = make_case(Path())
    make_truncated(case.footage, keep=0.6, frames=20, size=FRAME_PX, picture=scene)
    write_frames(case)
    write_crops(case, (0,))
    wanted, shown = target(case), render(case)
    missing = [frame.frame_index for frame in wanted if not frame.decoded]
    assert missing
    assert len(shown) == len(wanted) == 20
    for index in missing:
        assert np.array_equal(shown[index].luma(), shown[index - 1].luma())
    assert f"{len(missing)} undecodable frames" in capsys.readouterr().err


def test_before_the_first_decoded_frame_there_is_black() -> None:
    class Missing:
        decoded, frame_index = False, 0

    first = blend.black(6, 4, "limited")
    ((_, planes),) = composed([Missing()], [[]], first, lambda *_: None)  # type: ignore[list-item]
    assert [int(plane.max()) for plane in planes] == [16, 128, 128]


def test_a_table_of_other_frames_is_refused() -> None:
    case = make_case(Path())
    render(case)
    facts = CONVERTED.check(case.swap / "converted.parquet")
    with pytest.raises(TableError, match="beyond the clip"):
        list(faces_by_frame(case.swap / "converted.parquet", facts, [0] * 5))
    frames = open_footage(case.footage).frames()
    with pytest.raises(TableError, match="does not fit"):
        list(composed(frames, [[]] * 5, blend.black(*FRAME_PX, "full"), lambda *_: None))


def test_footage_that_changed_since_is_refused() -> None:
    case = make_case(Path())
    convert.STAGE.execute(case.convert_arguments())
    case.footage.write_bytes(case.footage.read_bytes() + b"x")
    with pytest.raises(FootageError, match="has changed"):
        blend.STAGE.execute(case.blend_arguments())
    assert not list(case.swap.glob("*.mp4"))


def planes_of(frame: Frame) -> Planes:
    y, u, v = (np.array(plane) for plane in frame.planes())
    return y, u, v


def face_of(case: Case, colour: int | None = None) -> Face:
    """The first converted face, or one of a single grey."""
    table = CONVERTED.read(case.swap / "converted.parquet")
    (found, *_), *_ = faces_by_frame(
        case.swap / "converted.parquet",
        CONVERTED.check(case.swap / "converted.parquet"),
        [0] * case.frames,
    )
    assert np.allclose(found.affine, as_numpy(table["affine_matrix"], (2, 3))[0])
    if colour is None:
        return found
    return Face(found.track, np.full_like(found.crop, colour), found.mask, found.affine)


def test_colour_follows_the_target_and_strength_zero_does_not() -> None:
    case = make_case(Path())
    render(case)
    frame, grey = target(case)[0], face_of(case, 250)
    means = {}
    for strength in (0.0, 1.0):
        planes = planes_of(frame)
        blend_face(planes, grey, BlendParams(colour_strength=strength), SPACE, SteadyColours(0))
        means[strength] = planes[0][60:80, 50:70].mean()
    own = frame.luma()[40:100, 30:90].mean()
    assert means[0.0] > 220
    assert means[1.0] == pytest.approx(own, abs=12)


def test_poisson_lays_a_face_and_falls_back_to_feather_where_it_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = make_case(Path())
    render(case)
    frame, face, params = target(case)[0], face_of(case), BlendParams(mode="poisson", colour="none")
    planes = planes_of(frame)
    assert blend_face(planes, face, params, SPACE, SteadyColours(0)) == "pasted"
    assert np.abs(planes[0].astype(int) - frame.luma()).max() <= 12  # a face on itself
    monkeypatch.setattr(blending, "poisson", lambda *_: None)
    fallen = planes_of(frame)
    assert blend_face(fallen, face, params, SPACE, SteadyColours(0)) == "poisson refused"
    feathered = planes_of(frame)
    blend_face(feathered, face, BlendParams(colour="none"), SPACE, SteadyColours(0))
    assert all(np.array_equal(a, b) for a, b in zip(fallen, feathered, strict=True))


def test_a_face_outside_the_frame_is_said_to_be_outside() -> None:
    case = make_case(Path())
    render(case)
    frame, face = target(case)[0], face_of(case)
    planes = planes_of(frame)
    away = Face(face.track, face.crop, face.mask, alignment.shifted(face.affine, 5000, 0))
    assert blend_face(planes, away, BlendParams(), SPACE, SteadyColours(0)) == "outside"
    assert np.array_equal(planes[0], frame.luma())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_blend_leaves_nothing_under_a_final_name(number: int, repository: Path) -> None:
    # Without faces, so that the time goes into the encoder alone.
    case = make_case(Path(), tracks=(), frames=250, pts=None, size=(320, 240), picture=noise)
    convert.STAGE.execute(case.convert_arguments())
    Path("params.yaml").write_text(PARAMS + "blend: {preset: slower}\n")
    command = [sys.executable, "-m", "tasks.blend", *case.blend_arguments()]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        temporary = case.swap / ".tmp-render.mp4"
        deadline = time.monotonic() + 60
        while not temporary.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert temporary.exists()
        process.send_signal(number)
        process.communicate()
    assert process.returncode == (130 if number == signal.SIGTERM else -number)
    assert not (case.swap / "render.mp4").exists()
    assert temporary.exists() == (number == signal.SIGKILL)  # the next run clears it
