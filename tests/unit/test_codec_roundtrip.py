"""What the stream through the encoder gives is what the file would have held."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from likeness.media.codec_roundtrip import through_encoder
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from tests.footage import make_clip, noise

CLIPS: dict[str, dict[str, object]] = {
    "even": {"frames": 70, "size": (96, 64)},
    "odd": {"frames": 12, "size": (97, 65), "pixel_format": "yuv444p"},
    "uneven times": {
        "frames": 6,
        "pts": [0, 40, 80, 200, 213, 1280],
        "time_base": Fraction(1, 1000),
    },
    "ntsc": {"frames": 30, "rate": Fraction(30000, 1001)},
}


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_frames_are_those_of_a_written_video(tmp_path: Path, clip: dict[str, object]) -> None:
    path = make_clip(tmp_path / "clip.mp4", picture=noise, **clip)  # type: ignore[arg-type]  # settings
    with open_footage(path) as footage:
        frames = [(frame.planes(), frame.pts) for frame in footage.frames()]
        with VideoWriter(tmp_path / "out.mp4", footage, 23, "veryfast") as writer:
            for planes, pts in frames:
                writer.write(*planes, pts)
        streamed = list(through_encoder(iter(frames), footage, 23, "veryfast"))
    with open_footage(tmp_path / "out.mp4") as written:
        stored = [frame.planes() for frame in written.frames()]
    assert len(streamed) == len(stored) == len(frames)
    for ours, theirs in zip(streamed, stored, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    # The codec has left its mark, or the test would pass for a copy.
    assert any(
        not np.array_equal(ours[0], given[0][0])
        for ours, given in zip(streamed, frames, strict=True)
    )


def test_frames_come_while_others_are_still_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=150, picture=noise)
    read = 0
    with open_footage(path) as footage:

        def frames():
            nonlocal read
            for frame in footage.frames():
                read += 1
                yield frame.planes(), frame.pts

        next(through_encoder(frames(), footage, 23, "veryfast"))
    assert read < 80


def test_no_frames_are_none(tmp_path: Path) -> None:
    with open_footage(make_clip(tmp_path / "clip.mp4", frames=2)) as footage:
        assert list(through_encoder([], footage, 23, "veryfast")) == []
