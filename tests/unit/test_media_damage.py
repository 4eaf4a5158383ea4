"""Damaged footage loses no frame silently, and what is no footage is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import numpy as np
import pytest

from likeness.contracts.errors import FootageError
from likeness.media.footage import Footage, open_footage
from likeness.media.probe import probe
from tests.footage import (
    make_audio,
    make_clip,
    make_truncated,
    noise,
    packet_times,
)


def digest(footage: Footage) -> str:
    """Hash of all that can be known of all frames."""
    total = hashlib.sha256()
    for frame in footage.frames():
        state = (frame.frame_index, frame.pts, frame.pts_s, frame.decoded, frame.damaged)
        total.update(repr(state).encode())
        for plane in frame.planes() if frame.decoded else ():
            total.update(plane.tobytes())
    return total.hexdigest()


def test_cut_off_footage_counts_every_frame(tmp_path: Path) -> None:
    path = make_truncated(
        tmp_path / "clip.mp4", 0.6, frames=50, size=(160, 120), picture=noise, rate=25
    )
    frames = list(open_footage(path).frames())
    lost = [f for f in frames if not f.decoded]
    assert len(frames) == 50
    assert 5 < len(lost) < 35
    steps = set(np.diff([f.pts for f in frames]).tolist())
    assert len(steps) == 1, "times go on at the same rate"
    with pytest.raises(FootageError, match=f"frame {lost[0].frame_index} cannot be decoded"):
        lost[0].rgb()


def test_undecodable_packets_are_counted_where_they_belong(tmp_path: Path) -> None:
    whole = make_clip(
        tmp_path / "whole.mkv", 12, codec="mjpeg", pixel_format="yuvj420p", picture=noise
    )
    path = tmp_path / "clip.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux() if p.size):
            if number in (4, 9):
                packet.update(bytes(packet.size))
            packet.stream = stream
            target.mux(packet)
    frames = list(open_footage(path).frames())
    assert [f.frame_index for f in frames if not f.decoded] == [4, 9]
    assert [f.pts for f in frames] == packet_times(whole)


def test_damage_looks_the_same_with_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "clip.mp4", 60, (320, 240), picture=noise, options={"g": "30"})
    data = bytearray(path.read_bytes())
    media = data.find(b"mdat")
    for place in np.random.default_rng(5).integers(media + 3000, len(data) - 4000, 12):
        data[place] ^= 0x5A
    path.write_bytes(data)
    digests = set()
    for count in ("1", "2", "5", "2"):
        monkeypatch.setenv("LIKENESS_THREADS", count)
        digests.add(digest(open_footage(path)))
    assert any(f.damaged for f in open_footage(path).frames()), "the test must damage something"
    assert len(digests) == 1


def test_hidden_vp8_frames_are_no_frames(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.webm", 8, codec="libvpx")
    path = tmp_path / "clip.webm"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux() if p.size):
            if number == 5:
                packet.update(bytes([bytes(packet)[0] & ~0x10]) + bytes(packet)[1:])
            packet.stream = stream
            target.mux(packet)
    frames = list(open_footage(path).frames())
    assert len(frames) == 7
    assert all(f.decoded for f in frames)


def _bad(folder: Path) -> dict[str, Path]:
    clip = make_clip(folder / "clip.mp4")
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 40)
    (folder / "head.mp4").write_bytes(clip.read_bytes()[:900])
    (folder / "empty").mkdir()
    (folder / "unknown.mp4").write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))
    with av.open(str(clip)) as source, av.open(str(folder / "noise.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.size:
                packet.update(bytes(packet.size))
                packet.stream = stream
                target.mux(packet)
    return {
        "is empty": folder / "zero.mp4",
        "is no readable video": folder / "text.mp4",
        "is no readable video (damaged": folder / "head.mp4",
        "holds sound only": make_audio(folder / "sound.mp4"),
        "holds no stills": folder / "empty",
        "is coded in a way that cannot be decoded here": folder / "unknown.mp4",
        "does not exist": folder / "nothing.mp4",
        "no frame that can be decoded": folder / "noise.mp4",
    }


def test_bad_footage_is_named_with_the_next_step(tmp_path: Path) -> None:
    folder = tmp_path / "clips" / "some-clip"
    folder.mkdir(parents=True)
    for problem, path in _bad(folder).items():
        for function in (open_footage, probe):
            with pytest.raises(FootageError) as caught:
                function(path)
            message = str(caught.value)
            assert problem in message
            assert message.startswith(str(path))
            assert message.endswith("replace the file or run `likeness remove some-clip`")
            assert "\n" not in message
