"""Stage `baselines`: which frames, what the streams hold, footage that breaks off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.contracts.params.baselines import BaselinesParams
from likeness.evaluation import sampling
from likeness.evaluation.clip import Faces, plan
from likeness.media.codec_roundtrip import decoded, encoded
from likeness.media.footage import open_footage
from tasks.baselines import Run, chosen, decoded_runs
from tests.footage import make_clip


def faces_of(count: int, shots: int = 1, holes: frozenset[int] = frozenset()) -> Faces:
    """One face per frame but in `holes`; `shots` shots of equal length."""
    frames = np.arange(count)
    present = np.array([int(frame not in holes) for frame in frames])
    tracks = np.where(present > 0, 0, -1)
    return Faces(frames / 25, frames * shots // max(count, 1), tracks, present)


@given(
    count=st.integers(1, 400),
    shots=st.integers(1, 6),
    holes=st.frozensets(st.integers(0, 399), max_size=60),
    frames=st.integers(3, 60),
    runs=st.integers(1, 6),
)
def test_the_swap_is_measured_wherever_there_is_a_baseline(
    count: int, shots: int, holes: frozenset[int], frames: int, runs: int
) -> None:
    faces = faces_of(count, shots, holes)
    made = chosen(faces, BaselinesParams(frames=frames, runs=runs))
    middles = np.array([run.middle for run in made if run.whole], np.int64)
    singles = np.array([run.middle for run in made if not run.whole], np.int64)
    known = len(faces.frames)
    assert len(middles) == min(runs, len(middles)) >= min(known, 1)
    assert len(made) <= frames + runs
    assert len({run.middle for run in made}) == len(made)
    for run in made:
        assert all(faces.counts[frame] for frame in run.frames)
        assert len({faces.shots[frame] for frame in run.frames}) == 1
    # With the same number no face is recognised for the baselines' sake alone, with another it is.
    none = np.zeros(0, np.int64)
    plans = (plan(faces, frames, 4, none, none), plan(faces, 3, 4, singles, middles))
    for clip in plans:
        assert (clip.measure[singles] >= sampling.FACE).all()
        assert (clip.measure[middles] == sampling.ALL).all()


def test_fifty_of_a_long_clip_are_enough_for_fid() -> None:
    made = chosen(faces_of(500), BaselinesParams())
    assert len(made) == 52
    assert sum(run.whole for run in made) == 4
    assert [len(run.frames) for run in made if run.whole] == [3] * 4


def test_a_face_alone_in_its_shot_stands_for_a_run() -> None:
    made = chosen(faces_of(9, holes=frozenset({1, 2, 4, 5, 7, 8})), BaselinesParams())
    assert [run.frames for run in made] == [(0,), (3,), (6,)]
    assert all(run.whole for run in made)


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_streams_give_back_the_frames(tmp_path: Path, size: tuple[int, int]) -> None:
    footage = open_footage(make_clip(tmp_path / "clip.mp4"))
    random = np.random.default_rng(0)
    width, height = size
    half = ((height + 1) // 2, (width + 1) // 2)
    smooth = np.cumsum(random.integers(-2, 3, (3, height, width)), axis=2) + 120
    frames = [
        (y.astype(np.uint8), np.full(half, 90, np.uint8), np.full(half, 160, np.uint8))
        for y in smooth
    ]
    stream = encoded(frames, footage, 10, "veryfast")
    assert stream == encoded(frames, footage, 10, "veryfast")
    back = decoded(stream, 3)
    for (y, u, v), (y2, u2, v2) in zip(frames, back, strict=True):
        assert (y2.shape, u2.shape, v2.shape) == (y.shape, u.shape, v.shape)
        assert np.abs(y2.astype(int) - y).mean() < 2
        assert np.abs(u2.astype(int) - u).mean() < 2
        assert np.abs(v2.astype(int) - v).mean() < 2
    assert len(encoded(frames, footage, 40, "veryfast")) < len(stream) / 2


def test_frames_that_cannot_be_read_shorten_or_drop_their_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage = open_footage(make_clip(tmp_path / "clip.mp4"))
    whole, frames = [Run((1, 2, 3), whole=True), Run((5,), whole=False), Run((7,), whole=False)], 12
    assert [run for run, _ in decoded_runs(footage, whole)] == whole
    plain = footage.frames

    def damaged(*given: object) -> object:
        for frame in plain():
            if frame.frame_index in {3, 5}:
                frame.decoded = False
            yield frame

    monkeypatch.setattr(footage, "frames", damaged)
    found = list(decoded_runs(footage, whole))
    assert [run for run, _ in found] == [Run((2,), whole=True), Run((7,), whole=False)]
    assert [len(planes) for _, planes in found] == [1, 1]
    late = [Run((frames - 1,), whole=True)]
    assert [run for run, _ in decoded_runs(footage, late)] == late
