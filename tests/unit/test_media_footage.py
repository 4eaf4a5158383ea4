"""Footage is read frame by frame: every frame counted, upright, with its exact time."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.media.footage import open_footage
from tests.footage import (
    corners,
    make_clip,
    make_stills,
    noise,
    packet_times,
)


def close_to(rgb: np.ndarray, expected: np.ndarray, levels: float = 4) -> None:
    """Pictures agree but for traces of compression, away from edges."""
    assert rgb.shape == expected.shape
    difference = np.abs(rgb.astype(int) - expected.astype(int))
    assert float(np.median(difference)) <= levels
    assert float((difference > 4 * levels).mean()) < 0.1


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.integers(1, 200), min_size=1, max_size=14),
    first=st.integers(0, 500),
    base=st.sampled_from([1000, 600, 24000, 90000]),
)
def test_times_equal_those_of_the_packets(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], first: int, base: int
) -> None:
    pts = np.cumsum([first, *steps]).tolist()
    path = tmp_path_factory.mktemp("vfr") / "clip.mp4"
    make_clip(path, len(pts), (64, 48), pts=pts, time_base=Fraction(1, base))
    footage = open_footage(path)
    assert footage.facts["time_base"] == [1, base]
    frames = list(footage.frames())
    assert [f.pts for f in frames] == packet_times(path) == pts
    assert [f.pts_s for f in frames] == [p / base for p in pts]
    assert [f.frame_index for f in frames] == list(range(len(pts)))


@pytest.mark.parametrize("size", [(96, 64), (97, 65)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, rotation: int, size: tuple[int, int]) -> None:
    codec = "mpeg4" if size[0] % 2 else "libx264"  # H.264 has no odd 4:2:0
    path = make_clip(tmp_path / "clip.mp4", 3, size, rotation=rotation, codec=codec)
    footage = open_footage(path)
    expected = np.rot90(corners(1, size), -rotation // 90)
    assert footage.facts["rotation_deg"] == rotation
    assert (footage.facts["height_px"], footage.facts["width_px"]) == expected.shape[:2]
    frame = list(footage.frames())[1]
    close_to(frame.rgb(), expected, 8)
    y, u, v = frame.planes()
    height, width = expected.shape[:2]
    assert y.shape == (height, width)
    assert u.shape == v.shape == ((height + 1) // 2, (width + 1) // 2)


def test_rotation_agrees_with_opencv(tmp_path: Path) -> None:
    for rotation in (90, 180, 270):
        path = make_clip(tmp_path / f"{rotation}.mp4", 2, (96, 64), rotation=rotation)
        read, bgr = cv2.VideoCapture(str(path)).read()
        assert read
        close_to(next(open_footage(path).frames()).rgb(), bgr[..., ::-1])


@pytest.mark.parametrize(
    ("pixel_format", "codec", "suffix"),
    [
        ("yuv420p10le", "libx264", ".mp4"),
        ("yuv422p", "libx264", ".mp4"),
        ("yuv444p", "libx264", ".mp4"),
        ("yuvj420p", "mjpeg", ".mkv"),
        ("rgb24", "libx264rgb", ".mp4"),
        ("bgr0", "ffv1", ".mkv"),
        ("yuv420p", "mpeg4", ".avi"),
        ("yuv420p", "libx264", ".ts"),
        ("yuv420p", "libvpx", ".webm"),
    ],
)
def test_other_formats_are_converted(
    tmp_path: Path, pixel_format: str, codec: str, suffix: str
) -> None:
    path = make_clip(tmp_path / f"clip{suffix}", 6, pixel_format=pixel_format, codec=codec)
    frames = list(open_footage(path).frames())
    assert [f.pts for f in frames] == packet_times(path)
    assert all(f.decoded for f in frames)
    y, u, _ = frames[2].planes()
    assert (y.dtype, y.shape, u.shape) == (np.uint8, (64, 96), (32, 48))
    close_to(frames[2].rgb(), corners(2, (96, 64)), 8)


def test_grey_stays_grey(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", 3, pixel_format="gray", codec="ffv1")
    rgb = next(open_footage(path).frames()).rgb()
    assert int((rgb.max(axis=2) - rgb.min(axis=2)).max()) <= 2
    assert abs(int(rgb[8, 8, 0]) - cv2.cvtColor(corners(0, (96, 64)), cv2.COLOR_RGB2GRAY)[8, 8]) < 3


@pytest.mark.parametrize("colour_range", [1, 2])
@pytest.mark.parametrize("space", [1, 5, 6, 9])
def test_colour_tags_decide_the_matrix(tmp_path: Path, space: int, colour_range: int) -> None:
    tags = {"colorspace": space, "color_range": colour_range}
    frame = next(open_footage(make_clip(tmp_path / "clip.mp4", 2, tags=tags)).frames())
    close_to(frame.rgb(), corners(0, (96, 64)))


def test_a_region_is_a_part_of_the_picture(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", 1, picture=noise, tags={"colorspace": 1})
    frame = next(open_footage(path).frames())
    whole = frame.rgb().astype(int)
    boxes = [(0, 0, 96, 64), (5, 7, 40, 33), (-10, -3, 21, 9), (90, 60, 200, 100), (3, 3, 4, 4)]
    for x0, y0, x1, y1 in boxes:
        part = whole[max(y0, 0) : y1, max(x0, 0) : x1]
        region = frame.region_rgb(x0, y0, x1, y1)
        assert region.shape == part.shape
        assert np.abs(region - part).max() <= 3
    assert frame.region_rgb(200, 0, 300, 10).size == 0


def test_planes_are_not_copied_and_not_writable(tmp_path: Path) -> None:
    frame = next(open_footage(make_clip(tmp_path / "clip.mp4", 1)).frames())
    assert frame.planes()[0] is frame.luma()
    with pytest.raises(ValueError, match="read-only"):
        frame.luma()[0, 0] = 1


def test_wanted_frames_alone(tmp_path: Path) -> None:
    footage = open_footage(make_clip(tmp_path / "clip.mp4", 20, picture=noise))
    every = {f.frame_index: f.luma().tobytes() for f in footage.frames()}
    chosen = {f.frame_index: f.luma().tobytes() for f in footage.frames([17, 3, 3, 99])}
    assert chosen == {index: every[index] for index in (3, 17)}
    assert list(footage.frames([])) == []


def test_one_frame(tmp_path: Path) -> None:
    assert len(list(open_footage(make_clip(tmp_path / "clip.mp4", 1)).frames())) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_stills(tmp_path: Path, suffix: str) -> None:
    footage = open_footage(make_stills(tmp_path / "stills", 3, (97, 65), suffix))
    (tmp_path / "stills" / "notes.txt").write_text("no picture")
    frames = list(footage.frames())
    assert (footage.facts["kind"], footage.facts["frames_hint"]) == ("stills", 3)
    assert [(f.frame_index, f.pts) for f in frames] == [(0, 0), (1, 1), (2, 2)]
    close_to(frames[1].rgb(), corners(1, (97, 65)))
    assert frames[1].planes()[1].shape == (33, 49)
    assert np.array_equal(frames[1].region_rgb(-5, 3, 20, 30), frames[1].rgb()[3:30, :20])


def test_a_broken_still_is_a_counted_frame(tmp_path: Path) -> None:
    folder = make_stills(tmp_path / "stills", 4)
    (folder / "0002.png").write_bytes(b"broken")
    assert [f.decoded for f in open_footage(folder).frames()] == [True, True, False, True]


def test_stills_of_two_sizes_keep_them(tmp_path: Path) -> None:
    folder = make_stills(tmp_path / "stills", 3)
    make_stills(tmp_path / "other", 1, (64, 48))
    shutil.copy(tmp_path / "other" / "0000.png", folder / "0001.png")
    frames = list(open_footage(folder).frames())
    assert [f.size for f in frames] == [(96, 64), (64, 48), (96, 64)]
    assert [f.luma().shape for f in frames] == [(64, 96), (48, 64), (64, 96)]


def test_turned_stills_stand_upright(tmp_path: Path) -> None:
    folder = make_stills(tmp_path / "stills", 2, suffix=".jpg")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # turn by 90
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    for still in folder.iterdir():
        data = still.read_bytes()
        still.write_bytes(data[:2] + segment + data[2:])
    footage = open_footage(folder)
    assert (footage.facts["width_px"], footage.facts["height_px"]) == (64, 96)
    close_to(next(footage.frames()).rgb(), np.rot90(corners(0, (96, 64)), -1))


def test_real_footage_has_exact_times(shared: Path) -> None:
    for name in ("fr_short_hamilton.mp4", "no_face.mp4", "lp_s18.mp4"):
        path = shared / "footage" / name
        frames = list(open_footage(path).frames())
        assert [f.pts for f in frames] == packet_times(path)
        assert all(f.decoded and not f.damaged for f in frames)
