"""Stages traces and detectability: the codec is no clue, and one clip gives no figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from likeness.contracts.errors import FootageError, LikenessError
from likeness.contracts.tables.traces import TRACES
from likeness.media.footage import open_footage
from likeness.metrics.forensics.detector import Pairs
from likeness.metrics.forensics.features import NAMES
from likeness.metrics.forensics.folds import Faces, judge
from models.swappers import registry
from tasks import blend, convert, detectability, traces
from tasks.detectability import read_faces
from tests.footage import Size
from tests.swapcase import PARAMS, SWAP, Case, Drawn, make_case, write_crops, write_frames

FRAMES = 60
BLEND = "blend: {crf: 23, preset: veryfast, colour: none}\n"


def grain(index: int, size: Size) -> npt.NDArray[np.uint8]:
    """A scene with fine detail, which an encoder does not keep; it drifts slowly."""
    width, height = size
    noise = np.random.default_rng(3).normal(0, 14, (height + FRAMES, width + FRAMES, 1))
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    waves = 120 + 60 * np.sin((columns + 0.6 * rows + index) / 23.0)
    moved = noise[index // 2 : index // 2 + height, index // 2 : index // 2 + width]
    return (waves[..., None] + moved + (0, 8, -8)).clip(0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "load", lambda _folder: Drawn().eval())


def built(*, faces: bool = True, **clip: object) -> Case:
    """Footage, converted.parquet and render; without `faces` the render shows the target alone."""
    settings = {"frames": FRAMES, "pts": None, "picture": grain, "audio": None, **clip}
    case = make_case(Path(), **settings)  # type: ignore[arg-type]  # settings of make_clip
    Path("params.yaml").write_text(PARAMS + BLEND)
    if not faces:
        write_crops(case, ())
        convert.STAGE.execute(case.convert_arguments())
        blend.STAGE.execute(case.blend_arguments())
        write_crops(case, (0,))
    convert.STAGE.execute(case.convert_arguments())
    if faces:
        blend.STAGE.execute(case.blend_arguments())
    return case


def arguments(case: Case, name: str = SWAP) -> list[str]:
    return [*case.blend_arguments(), "--traces", f"data/traces/{name}.parquet"]


def pairs(case: Case, name: str = SWAP):
    traces.STAGE.execute(arguments(case, name))
    return read_faces(Path(f"data/traces/{name}.parquet"))[0].pairs


def told(found: Pairs) -> list[float]:
    """AUC on every other frame of the film by a detector that has learned from the rest."""
    halves = []
    for name, rows in (("even", slice(0, None, 2)), ("odd", slice(1, None, 2))):
        part = Pairs(found.real[rows], found.swapped[rows], found.seconds[rows])
        halves.append(Faces(name, name, part))
    return [verdict.auc or 0.0 for verdict in judge(halves, 0.1)[0].values()]


def test_a_render_without_faces_cannot_be_told_from_the_target() -> None:
    """Both have been through the same encoder, frame by frame: not a bit differs."""
    found = pairs(built(faces=False))
    assert len(found.seconds) == FRAMES
    assert np.array_equal(found.real, found.swapped, equal_nan=True)
    assert told(found) == [0.5, 0.5]


def test_without_the_same_encoding_the_codec_would_be_found() -> None:
    """Why the target is encoded as the render was: the detector learns the encoder otherwise."""
    case = built(faces=False)
    Path("params.yaml").write_text(PARAMS + BLEND.replace("23", "35"))
    assert min(told(pairs(case))) > 0.95


def test_a_swapped_face_leaves_traces_at_its_place_and_second() -> None:
    case = built()
    found = pairs(case)
    assert not np.allclose(found.real, found.swapped, equal_nan=True)
    assert found.seconds.tolist() == [i // 25 for i in range(FRAMES)]
    facts = TRACES.check(Path(f"data/traces/{SWAP}.parquet"))
    assert facts["features"] == list(NAMES)
    assert (facts["faces"], facts["chosen"], facts["small"]) == (FRAMES, FRAMES, 0)
    assert (facts["crf"], facts["preset"]) == (23, "veryfast")


def test_same_input_same_bytes_and_faces_are_spaced_evenly() -> None:
    case = built()
    Path("params.yaml").write_text(PARAMS + BLEND + "traces: {max_faces: 6}\n")
    first, second = pairs(case, "one"), pairs(case, "two")
    bytes_of = [Path(f"data/traces/{name}.parquet").read_bytes() for name in ("one", "two")]
    assert bytes_of[0] == bytes_of[1]
    assert len(first.seconds) == len(second.seconds) == 6
    rows = TRACES.read(Path("data/traces/one.parquet"), ["frame_index"])
    assert sorted(set(rows["frame_index"].to_pylist())) == [5, 15, 25, 35, 45, 55]


def test_small_faces_are_counted_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    case = built(frames=4, size=(60, 44))
    assert len(pairs(case).seconds) < 4
    assert "below 32 px" in capsys.readouterr().err
    facts = TRACES.check(Path(f"data/traces/{SWAP}.parquet"))
    assert facts["chosen"] == 4
    assert facts["small"] > 0


def test_a_render_of_other_length_is_refused() -> None:
    case = built(frames=8)
    render = (case.swap / "render.mp4").read_bytes()
    built(frames=12)
    (case.swap / "render.mp4").write_bytes(render)
    with pytest.raises(FootageError, match="does not have the frames"):
        traces.STAGE.execute(arguments(case))


def test_a_frame_that_cannot_be_decoded_is_as_blend_shows_it() -> None:
    """The one before again, in both films; faces elsewhere are still compared."""
    case = built(faces=False)
    path = case.footage
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(bytes(content))
    with open_footage(path) as footage:
        decoded = [frame.decoded for frame in footage.frames()]
    write_frames(case)
    write_crops(case, ())
    convert.STAGE.execute(case.convert_arguments())
    blend.STAGE.execute(case.blend_arguments())
    write_crops(case, (0,))
    convert.STAGE.execute(case.convert_arguments())
    found = pairs(case)
    assert len(found.seconds) == sum(decoded)
    assert np.array_equal(found.real, found.swapped, equal_nan=True)


def judged() -> dict[str, object]:
    metrics = Path("data/detectability/metrics.json")
    arguments = ["--traces", "data/traces", "--metrics", str(metrics)]
    detectability.STAGE.execute(arguments)
    content: dict[str, object] = json.loads(metrics.read_text())
    return content


def test_one_target_clip_gives_null_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    pairs(built(frames=6))
    found = judged()
    assert found["auc"] is None
    assert "at least two target clips" in str(found["reason"])
    part = found["swaps"][SWAP]  # type: ignore[index]  # a nested mapping
    assert (part["auc"], part["pairs"], part["trained_pairs"]) == (None, 6, 0)
    assert [entry["feature"] for entry in found["weights"]] == list(NAMES)  # type: ignore[union-attr,attr-defined]
    assert "no figure" in capsys.readouterr().err


def test_no_swaps_is_legal() -> None:
    Path("params.yaml").write_text("swaps: {}\n")
    Path("data/traces").mkdir(parents=True)
    found = judged()
    assert (found["auc"], found["swaps"]) == (None, {})


def test_only_the_swaps_of_params_are_read_and_missing_traces_named() -> None:
    pairs(built(frames=6))
    Path("data/traces/removed.parquet").write_bytes(b"of a swap that is no more")
    assert set(judged()["swaps"]) == {SWAP}  # type: ignore[call-overload]  # a nested mapping
    Path("params.yaml").write_text(PARAMS + "  other: {source: ann, target: b, model: ann-ben}\n")
    with pytest.raises(LikenessError, match=r"other\.parquet"):
        judged()


def test_two_clips_give_a_figure_and_the_same_bytes_again() -> None:
    """The same traces under two names of clips: what one shows is found on the other."""
    case = built()
    pairs(case)
    table = TRACES.read(Path(f"data/traces/{SWAP}.parquet"))
    facts = TRACES.check(Path(f"data/traces/{SWAP}.parquet"))
    other = facts | {"swap": "other", "clip": "another"}
    TRACES.write(Path("data/traces/other.parquet"), table, other)
    Path("params.yaml").write_text(PARAMS + "  other: {source: ann, target: b, model: ann-ben}\n")
    first = judged()
    assert first["swaps"]["other"]["auc"] > 0.9  # type: ignore[index]  # a nested mapping
    before = Path("data/detectability/metrics.json").read_bytes()
    judged()
    assert Path("data/detectability/metrics.json").read_bytes() == before
