"""Every pixel format that FFmpeg can make and read comes out as swscale converts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.format import names
from av.video.reformatter import Interpolation, VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media.colour import yuv420_to_rgb
from likeness.media.footage import open_footage
from likeness.media.planes import stored_planes
from likeness.media.probe import _colour, is_yuv
from tests.footage import make_clip

SIZE = (64, 48)
HOW = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
TO_RGB = HOW | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


def soft(grey: bool = False) -> np.ndarray:
    """Colours (H,W,3) that change slowly, so that the chroma's resolution does not count."""
    rows, columns = np.mgrid[0:48, 0:64] / 64.0
    rgb = np.stack([60 + 130 * rows, 200 - 120 * columns, 70 + 90 * (1 - rows)], axis=-1)
    rgb = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2) if grey else rgb
    return np.ascontiguousarray(rgb.astype(np.uint8))


def convertible() -> list[str]:
    """Formats that swscale writes, and so can make a test picture in."""
    found = []
    for name in sorted(names):
        try:
            VideoReformatter().reformat(made("rgb24", soft()), format=name, interpolation=HOW)
        except av.FFmpegError:
            continue
        found.append(name)
    return found


def made(name: str, rgb: np.ndarray) -> Any:
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    return VideoReformatter().reformat(frame, format=name, interpolation=HOW)


def converted(frame: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """RGB of a frame as the product sees it, and what it took the colours for."""
    facts = {**_colour(frame), "codec": "rawvideo"}
    planes = stored_planes(frame, facts, VideoReformatter())
    return yuv420_to_rgb(planes, facts["colour_space"], facts["colour_range"]), facts


def test_every_format_comes_out_as_swscale_converts_it() -> None:
    formats = convertible()
    assert len(formats) > 150
    assert {"uyvy422", "y210le", "gray10le", "rgb48le", "gbrp", "yuvj444p", "nv12"} <= set(formats)
    for name in formats:
        frame = made(name, soft())
        try:
            rgb, _ = converted(frame)
        except FootageError:
            assert name in ("rgb4", "bgr4"), f"{name}: no decoder makes others that are not read"
            continue
        if min(c.bits for c in frame.format.components) < 8:
            continue  # dithered: a picture in so few levels says nothing about matrix and range
        theirs = (
            VideoReformatter().reformat(frame, format="rgb24", interpolation=TO_RGB).to_ndarray()
        )
        difference = np.abs(rgb[2:-2, 2:-2].astype(int) - theirs[2:-2, 2:-2])
        assert np.median(difference) <= 1, name
        assert difference.max() <= 6, f"{name}: {difference.max()} levels"


def test_planes_of_other_yuv_are_those_of_swscale() -> None:
    rgb = cv2.resize(np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8), SIZE)
    for name in (
        "uyvy422",
        "yuyv422",
        "yuv422p10le",
        "y210le",
        "p010le",
        "nv21",
        "yuv444p",
        "vuyx",
    ):
        frame = made(name, rgb)
        facts = {**_colour(frame), "codec": "rawvideo"}
        mine = stored_planes(frame, facts, VideoReformatter())
        theirs = VideoReformatter().reformat(frame, format="yuv420p", interpolation=HOW)
        for plane, stored in zip(mine, theirs.planes, strict=True):
            whole = np.frombuffer(stored, np.uint8).reshape(-1, stored.line_size)
            part = whole[: plane.shape[0], : plane.shape[1]].astype(int)
            assert np.abs(plane - part).max() <= 1, name


def test_formats_are_told_apart_by_what_they_are() -> None:
    luma_chroma = ("uyvy422", "nv12", "y210le", "v30xle", "ayuv64le", "yuvj420p", "p010le")
    others = ("rgb24", "gbrp", "pal8", "gray", "gray16le", "ya8", "monow", "bayer_rggb8", "bgra")
    assert all(is_yuv(av.VideoFormat(name)) for name in luma_chroma)
    assert not any(is_yuv(av.VideoFormat(name)) for name in others)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("rawvideo", "uyvy422", ".mov"),
        ("v210", "yuv422p10le", ".mov"),
        ("rawvideo", "yuyv422", ".avi"),
        ("png", "rgb48be", ".mov"),
        ("qtrle", "rgb24", ".mov"),
    ],
)
def test_films_of_other_formats(tmp_path: Path, codec: str, pixel_format: str, suffix: str) -> None:
    path = make_clip(
        tmp_path / f"clip{suffix}", 2, SIZE, codec=codec, pixel_format=pixel_format,
        picture=lambda _index, _size: soft(),
    )  # fmt: skip
    frame = next(open_footage(path).frames())
    assert np.abs(frame.rgb()[2:-2, 2:-2].astype(int) - soft()[2:-2, 2:-2]).mean() < 2.5
