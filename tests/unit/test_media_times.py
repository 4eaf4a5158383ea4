"""Times that start again, and times of decoding in the place of those of showing."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from likeness.contracts.errors import FootageError
from likeness.media.encode import VideoWriter
from likeness.media.footage import Footage, open_footage
from likeness.media.inspect import inspected
from likeness.media.remarks import time_lines
from likeness.media.timeline import timeline
from tests.footage import Size, audio_packets, make_clip


def joined(path: Path, parts: int = 2) -> Path:
    """Transport streams of 20 frames with sound, one behind the other."""
    one = make_clip(path.with_name("one.ts"), 20, (160, 96), audio="aac").read_bytes()
    path.write_bytes(one * parts)
    return path


def film(footage: Footage, path: Path) -> Path:
    with VideoWriter(path, footage, 18, "ultrafast") as writer:
        for frame in footage.frames():
            writer.write(*frame.planes(), frame.pts)
    return path


def bar(index: int, size: Size) -> np.ndarray:
    """A white bar on black that moves by 4 px a frame."""
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    rgb[:, 4 * index : 4 * index + 16] = 255
    return rgb


def bar_at(footage: Footage) -> list[int]:
    """Left edge of the bar in each frame, px."""
    return [round(np.flatnonzero(f.luma()[48] > 120).mean() - 7.5) for f in footage.frames()]


@pytest.mark.parametrize("parts", [2, 3])
def test_joined_parts_follow_each_other(tmp_path: Path, parts: int) -> None:
    footage = open_footage(joined(tmp_path / "joined.ts", parts))
    frames = list(footage.frames())
    assert len(frames) == 20 * parts
    assert all(f.decoded for f in frames)
    assert {round(b.pts_s - a.pts_s, 6) for a, b in itertools.pairwise(frames)} == {0.04}
    lines = time_lines(timeline(footage.path), footage.facts)
    assert len(lines) == 1
    assert lines[0].startswith("times start again 0.80 s after the beginning")


def test_a_clock_that_passes_its_end_loses_no_frame(tmp_path: Path) -> None:
    """Times of MPEG-TS have 33 bits at 90 kHz; FFmpeg gives those before the end as negative."""
    past_zero = Fraction(2**33, 90000) - Fraction(12, 5)
    path = tmp_path / "clock.ts"
    own = make_clip(tmp_path / "a.ts", 40, (160, 96), audio="aac")
    with (
        av.open(str(own)) as source,
        av.open(str(path), "w", options={"muxdelay": "0"}) as target,
    ):
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            later = round(past_zero / packet.time_base)
            packet.pts, packet.dts = packet.pts + later, packet.dts + later
            packet.stream = streams[packet.stream_index]
            target.mux(packet)
    with av.open(str(path)) as container:
        assert min(p.pts for p in container.demux(video=0) if p.pts is not None) < 0
    footage = open_footage(path)
    written = open_footage(film(footage, tmp_path / "film.mp4"))
    times = [f.pts_s for f in written.frames()]
    assert len(times) == 40
    assert min(times) == pytest.approx(0)
    with av.open(str(path)) as before, av.open(str(written.path)) as after:
        gaps = [
            float(c.streams.audio[0].start_time * c.streams.audio[0].time_base)
            - float(c.streams.video[0].start_time * c.streams.video[0].time_base)
            for c in (before, after)
        ]
    assert gaps[1] == pytest.approx(gaps[0], abs=0.03)


def test_parts_of_several_sizes_are_refused_at_once(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{n}.ts", 10, (n, 96)).read_bytes() for n in (160, 320)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    with pytest.raises(FootageError, match="changes its size from 160x96 to 320x96 px"):
        inspected(path, "target", "continue", "aac")


def test_sound_of_joined_parts_stays_in_step(tmp_path: Path) -> None:
    footage = open_footage(joined(tmp_path / "joined.ts"))
    written = film(footage, tmp_path / "film.mp4")
    assert [f.pts for f in open_footage(written).frames()] == [f.pts for f in footage.frames()]
    with av.open(str(written)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert float(picture.duration * picture.time_base) == pytest.approx(1.6, abs=0.001)
        times = [float(p.pts * p.time_base) for p in container.demux(sound) if p.size]
    steps = np.diff(times)
    assert (steps > 0).all()
    assert steps.max() < 0.06, "no hole where the parts meet"
    assert times[-1] - times[0] == pytest.approx(1.6, abs=0.07)
    # The second part's sound is its own: the last packets are those of the file.
    with_headers = audio_packets(footage.path)[-5:]
    assert audio_packets(written)[-5:] == [packet[7:] for packet in with_headers], "without ADTS's"


def test_an_uneven_rate_is_no_break(tmp_path: Path) -> None:
    pts = [0, 40, 80, 5080, 5120, 9000, 9040, 9080, 20000, 20040]
    for suffix in (".mkv", ".mp4"):
        path = make_clip(tmp_path / f"clip{suffix}", 10, pts=pts, time_base=Fraction(1, 1000))
        assert timeline(path).breaks == ()


def with_dts_for_pts(source: Path, path: Path) -> Path:
    """A copy whose packets state their decoding times as times of showing."""
    with av.open(str(source)) as given, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(p for p in given.demux() if p.size):
            packet.pts = packet.dts = number * 512
            packet.time_base = given.streams.video[0].time_base
            packet.stream = stream
            target.mux(packet)
    return path


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_of_decoding_are_put_in_order(tmp_path: Path, codec: str, suffix: str) -> None:
    source = make_clip(
        tmp_path / "whole.mp4", 20, (160, 96), codec=codec, options={"bf": "2"}, picture=bar
    )
    footage = open_footage(with_dts_for_pts(source, tmp_path / f"clip{suffix}"))
    frames = list(footage.frames())
    assert len(frames) == 20
    assert all(f.decoded for f in frames)
    assert (np.diff([f.pts for f in frames]) > 0).all()
    moved = np.array(bar_at(footage)) - 4 * np.arange(20)
    assert np.abs(moved).max() <= 1, "in the order in which they are shown"


def test_streams_without_times(tmp_path: Path) -> None:
    for name, codec in (("clip.h264", "libx264"), ("clip.hevc", "libx265")):
        options = {"bf": "4", "x265-params": "log-level=error"} if codec == "libx265" else None
        path = make_clip(tmp_path / name, 25, (160, 96), codec=codec, options=options, picture=bar)
        footage = open_footage(path)
        assert [f.decoded for f in footage.frames()] == [True] * 25
        assert np.abs(np.array(bar_at(footage)) - 4 * np.arange(25)).max() <= 1


def test_the_cases_that_were_reported(shared: Path) -> None:
    frames = list(open_footage(shared / "cases/joined.ts").frames())
    assert (len(frames), frames[-1].pts_s - frames[0].pts_s) == (40, pytest.approx(1.56))
    frames = list(open_footage(shared / "cases/dts_as_pts.mp4").frames())
    assert [f.decoded for f in frames] == [True] * 20
