"""Files that have lost a part are counted whole: by their index, their holes, their own length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from likeness.media.footage import open_footage
from likeness.media.remarks import loss_lines
from likeness.media.timeline import timeline
from tests.footage import make_clip, noise, with_index_first

FRAMES = 40
Mangle = Callable[[bytes], bytes]
KINDS = {
    "h264.mkv": {"codec": "libx264"},
    "mjpeg.mkv": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "vp8.webm": {"codec": "libvpx"},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "h264.mov": {"codec": "libx264"},
    "flv1.flv": {"codec": "flv1"},
}


def cut(share: float) -> Mangle:
    return lambda data: data[: int(len(data) * share)]


def zeroed(begin: float, share: float = 0.25) -> Mangle:
    def mangle(data: bytes) -> bytes:
        start, length = int(len(data) * begin), int(len(data) * share)
        return data[:start] + bytes(length) + data[start + length :]

    return mangle


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder, found = tmp_path_factory.mktemp("wholes"), {}
    for name, how in KINDS.items():
        path = make_clip(folder / name, FRAMES, (160, 120), picture=noise, **how)  # type: ignore[arg-type]
        if name.endswith("mov"):
            path = with_index_first(path, folder / "first.mov")
        found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_have_lost_nothing(wholes: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    path.write_bytes(wholes[kind])
    assert [f.decoded for f in open_footage(path).frames()] == [True] * FRAMES
    assert loss_lines(timeline(path)) == []


@pytest.mark.parametrize(
    "mangle",
    [cut(0.99), cut(0.8), cut(0.5), zeroed(0.3), zeroed(0.5), zeroed(0.74)],
    ids=["cut 1 %", "cut 20 %", "cut half", "hole early", "hole late", "hole at the end"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_counted(
    wholes: dict[str, bytes], tmp_path: Path, kind: str, mangle: Mangle
) -> None:
    path = tmp_path / kind
    path.write_bytes(mangle(wholes[kind]))
    frames = list(open_footage(path).frames())
    assert len(frames) == FRAMES
    times = [f.pts_s for f in frames]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx((FRAMES - 1) / 25, abs=0.05)
    lost = sum(not f.decoded for f in frames)
    said = loss_lines(timeline(path))
    if kind != "h264.mov" or lost < 2:
        # An MP4's packets are all there, whatever is in them: the decoder finds what is not.
        assert bool(said) or not lost
    if len(path.read_bytes()) < len(wholes[kind]):
        assert "shorter than it says" in said[0]


def test_an_uneven_rate_is_no_loss(tmp_path: Path) -> None:
    pts = [0, 40, 80, 480, 520, 2000, 2040, 9000]
    for name in ("clip.mkv", "clip.mp4"):
        path = make_clip(tmp_path / name, 8, pts=pts, time_base=None)
        assert timeline(path).lost == 0
        assert len(list(open_footage(path).frames())) == 8


def test_zeros_at_the_end_are_said(wholes: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "clip.mov"
    data = wholes["h264.mov"]
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    if len(data) < 2 * 4096:
        pytest.skip("the film is too short for a block of zeros")
    assert "bytes are zeros" in loss_lines(timeline(path))[0]


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_streams_that_state_no_length_tell_a_cut_inside_a_packet(
    tmp_path: Path, suffix: str
) -> None:
    path = make_clip(
        tmp_path / f"whole{suffix}", FRAMES, (160, 120), codec="mpeg2video", picture=noise
    )
    assert loss_lines(timeline(path)) == []
    short = tmp_path / f"cut{suffix}"
    short.write_bytes(path.read_bytes()[: 188 * 40 + 100])
    line = loss_lines(timeline(short))[0]
    assert "it ends inside a packet, and does not say how much is missing behind" in line


def test_a_cut_wmv_is_told_by_the_length_that_it_states(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "whole.asf", FRAMES, (160, 120), codec="wmv2", picture=noise)
    assert loss_lines(timeline(path)) == []
    short = tmp_path / "cut.asf"
    short.write_bytes(path.read_bytes()[:-1000])
    assert "it is 1000 bytes shorter than it says" in loss_lines(timeline(short))[0]
