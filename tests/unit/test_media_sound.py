"""Sound is copied where MP4 can hold it and converted where not, in step and with its language."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from likeness.media.sound import SoundCodec, judged
from tests.footage import audio_packets, corners, make_clip


def with_sound(
    path: Path,
    codec: str,
    rate: int = 22050,
    *,
    layout: str = "stereo",
    form: str = "s16",
    tracks: Sequence[tuple[str, bool]] = (("", False),),
    starts_s: float = 0.0,
) -> Path:
    """20 frames and 0.8 s of a beep that begins at half time, once for each (language, default)."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        streams = [container.add_stream(codec, rate=rate) for _ in tracks]
        for stream, (language, default) in zip(streams, tracks, strict=True):
            stream.layout, stream.format = layout, form
            stream.disposition = int(default)
            if language:
                stream.metadata["language"] = language
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(corners(index, (96, 64)), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame.reformat(format="yuv420p")))
        container.mux(video.encode(None))
        for stream in streams:
            for frame in beep(rate, layout, form, starts_s):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def beep(rate: int, layout: str, form: str, starts_s: float) -> list[av.AudioFrame]:
    count = len(av.AudioLayout(layout).channels)
    total = int(0.8 * rate)
    wave = np.sin(2 * np.pi * 440 * np.arange(total) / rate) * (np.arange(total) >= total // 2)
    scaled = (wave * 12000).astype(np.int16) if form.startswith("s16") else wave * 0.4
    kind = {"s16": np.int16, "s16p": np.int16, "flt": np.float32, "fltp": np.float32}[form]
    values = np.repeat(scaled[:, None].astype(kind), count, axis=1)
    frames = []
    for start in range(0, total, 1024):
        part = values[start : start + 1024]
        packed = part.T if form.endswith("p") else part.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format=form, layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = start + round(starts_s * rate)
        frames.append(frame)
    return frames


def filmed(source: Path, path: Path, sound: SoundCodec = "aac") -> Path:
    footage = open_footage(source)
    with VideoWriter(path, footage, 18, "ultrafast", sound=sound) as writer:
        for frame in footage.frames():
            writer.write(*frame.planes(), frame.pts)
    return path


def loud_from_s(path: Path, index: int = 0) -> tuple[float, float]:
    """When the beep begins, and when the sound ends, in seconds of the film."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[index]))
        ends = frames[-1].pts * frames[-1].time_base + Fraction(
            frames[-1].samples, frames[-1].sample_rate
        )
        for frame in frames:
            values = frame.to_ndarray().astype(float)
            values = values.reshape(-1) if values.ndim == 1 else values.max(axis=0)
            top = 32768 if frame.format.name.startswith("s16") else 1
            loud = np.flatnonzero(np.abs(values) / top > 0.15)
            if len(loud):
                steps = loud[0] / (1 if frame.format.is_planar else len(frame.layout.channels))
                return float(frame.pts * frame.time_base + steps / frame.sample_rate), float(ends)
    raise AssertionError("silent")


@pytest.mark.parametrize("sound", ["aac", "alac"])
@pytest.mark.parametrize(
    ("name", "codec", "rate", "kind"),
    [
        ("stereo.avi", "pcm_s16le", 22050, ("stereo", "s16")),
        ("mono.avi", "pcm_s16le", 48000, ("mono", "s16")),
        ("odd.mov", "pcm_s16be", 11127, ("stereo", "s16")),
        ("float.mov", "pcm_f32le", 96000, ("mono", "flt")),
        ("six.mkv", "pcm_s16le", 48000, ("5.1", "s16")),
        ("packed.mkv", "wavpack", 44100, ("stereo", "fltp")),
    ],
)
def test_what_mp4_cannot_hold_is_converted_in_step(
    tmp_path: Path, name: str, codec: str, rate: int, kind: tuple[str, str], *, sound: SoundCodec
) -> None:
    layout, form = kind
    source = with_sound(tmp_path / name, codec, rate, layout=layout, form=form)
    [track] = judged(source)
    assert (track.fate, track.codec) == ("converted", codec)
    assert f"converted to {sound.upper()}" in track.described(sound)
    film = filmed(source, tmp_path / "film.mp4", sound)
    with av.open(str(film)) as container:
        context = container.streams.audio[0].codec_context
        assert context.name == sound
        assert len(context.layout.channels) == len(av.AudioLayout(layout).channels)
        assert context.sample_rate >= rate
    begins, ends = loud_from_s(film)
    assert begins == pytest.approx(0.4, abs=0.02)
    assert ends == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("codec", ["flac", "libopus", "ac3", "eac3", "alac", "mp2", "aac"])
def test_what_mp4_holds_is_copied(tmp_path: Path, codec: str) -> None:
    form = {"flac": "s16", "libopus": "s16", "alac": "s16p", "mp2": "s16"}.get(codec, "fltp")
    source = with_sound(tmp_path / "clip.mkv", codec, 48000, form=form)
    assert [track.fate for track in judged(source)] == ["copied"]
    assert audio_packets(filmed(source, tmp_path / "film.mp4")) == audio_packets(source)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_languages_and_the_default_track_stay(tmp_path: Path, name: str) -> None:
    tracks = [("deu", False), ("eng", True), ("fra", False)]
    source = with_sound(tmp_path / name, "aac", 44100, layout="mono", form="fltp", tracks=tracks)
    with av.open(str(filmed(source, tmp_path / "film.mp4"))) as film:
        streams = film.streams.audio
        assert [s.language for s in streams] == ["deu", "eng", "fra"]
        assert [bool(s.disposition & s.disposition.default) for s in streams] == [
            False,
            True,
            False,
        ]
    assert judged(source)[1].described("aac") == "aac (eng, default), copied"


def test_lossless_sound_is_lossless(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "clip.avi", "pcm_s16le")
    film = filmed(source, tmp_path / "film.mp4", "alac")
    heard = []
    for path in (source, film):
        with av.open(str(path)) as container:
            frames = [f.to_ndarray() for f in container.decode(container.streams.audio[0])]
        flat = [f.reshape(-1, 2) if f.shape[0] == 1 else f.T for f in frames]
        heard.append(np.concatenate(flat))
    assert np.array_equal(heard[0], heard[1][: len(heard[0])])
    assert not heard[1][len(heard[0]) :].any()


def test_sound_that_begins_late_stays_late(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "clip.mkv", "pcm_s16le", 48000, starts_s=0.3)
    assert loud_from_s(filmed(source, tmp_path / "film.mp4"))[0] == pytest.approx(0.7, abs=0.02)


def test_an_empty_stream_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    heard = make_clip(tmp_path / "heard.mkv", 6, audio="aac")
    with av.open(str(heard)) as given, av.open(str(path), "w") as target:
        copies = {s.index: target.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = copies[packet.stream_index]
                target.mux(packet)
    assert open_footage(path).facts["audio_streams"] == 1
    assert [track.fate for track in judged(path)] == ["left out"]
    assert open_footage(filmed(path, tmp_path / "film.mp4")).facts["audio_streams"] == 0


def test_the_cases_that_were_reported(shared: Path, tmp_path: Path) -> None:
    film = filmed(shared / "cases/pcm_stereo.avi", tmp_path / "stereo.mp4")
    with av.open(str(film)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.video[0].frames == 20
    with av.open(
        str(filmed(shared / "cases/two_languages.mp4", tmp_path / "two.mp4"))
    ) as container:
        found = [(s.language, bool(s.disposition & 1)) for s in container.streams.audio]
    assert found == [("deu", False), ("eng", True)]
