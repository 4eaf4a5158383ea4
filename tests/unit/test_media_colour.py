"""Planes and RGB agree with other converters, and a box stays a box."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Interpolation, VideoReformatter
from hypothesis import given
from hypothesis import strategies as st

from likeness.media.colour import (
    SPACES,
    even_box,
    rgb_to_yuv420,
    rgb_to_yuv420_region,
    yuv420_region_to_rgb,
    yuv420_to_rgb,
    yuv_matrix,
)

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def planes_of(seed: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random planes of values that limited range allows."""
    random = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    y = random.integers(16, 236, (height, width), dtype=np.uint8)
    u, v = (random.integers(60, 196, half, dtype=np.uint8) for _ in range(2))
    return y, u, v


def exact_rgb(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray], space: str, colour_range: str
) -> np.ndarray:
    """The definition, in float64, rounded at the end."""
    y, u, v = planes
    height, width = y.shape
    wide = [p.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for p in (u, v)]
    kr, kb = {
        "bt601": (0.299, 0.114),
        "bt709": (0.2126, 0.0722),
        "bt2020": (0.2627, 0.0593),
        "smpte240m": (0.212, 0.087),
        "fcc": (0.30, 0.11),
    }[space]
    limited = colour_range == "limited"
    luma = (y - 16.0) / 219 if limited else y / 255.0
    cb, cr = ((p - 128.0) / (224 if limited else 255) for p in wide)
    red = luma + 2 * (1 - kr) * cr
    blue = luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.rint(np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255))


@pytest.mark.parametrize("colour_range", ["limited", "full"])
@pytest.mark.parametrize("space", SPACES)
@given(seed=st.integers(0, 10**6), size=SIZES)
def test_both_ways_to_rgb_follow_the_definition(
    space: str, colour_range: str, seed: int, size: tuple[int, int]
) -> None:
    planes = planes_of(seed, *size)
    exact = exact_rgb(planes, space, colour_range)
    box = (0, 0, *size)
    region = yuv420_region_to_rgb(planes, box, space, colour_range)
    assert np.abs(region - exact).max() <= 1
    assert np.abs(yuv420_to_rgb(planes, space, colour_range) - exact).max() <= 2


@pytest.mark.parametrize("space", ["bt601", "bt709"])
def test_large_pictures_have_no_seams(space: str) -> None:
    planes = planes_of(4, 63, 301)
    exact = exact_rgb(planes, space, "limited")
    assert np.abs(yuv420_to_rgb(planes, space) - exact).max() <= 2
    assert np.abs(yuv420_region_to_rgb(planes, (2, 0, 63, 301), space) - exact[:, 2:]).max() <= 1


@pytest.mark.parametrize(("space", "name"), [(1, "bt709"), (5, "bt601"), (9, "bt2020")])
@pytest.mark.parametrize(("code", "colour_range"), [(1, "limited"), (2, "full")])
def test_agrees_with_ffmpeg(space: int, name: str, code: int, colour_range: str) -> None:
    # Smooth chroma, since FFmpeg interpolates it where this project repeats it.
    planes = [cv2.GaussianBlur(p, (0, 0), 24) for p in planes_of(1, 320, 240)]
    frame = av.VideoFrame(320, 240, "yuv420p")
    for plane, values in zip(frame.planes, planes, strict=True):
        stored = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        stored[: values.shape[0], : values.shape[1]] = values
    flags = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    theirs = VideoReformatter().reformat(
        frame,
        format="rgb24",
        src_colorspace=space,
        dst_colorspace=space,
        src_color_range=code,
        dst_color_range=2,
        interpolation=flags,
    )
    ours = yuv420_to_rgb((planes[0], planes[1], planes[2]), name, colour_range)
    assert np.abs(ours.astype(int) - theirs.to_ndarray().astype(int)).max() <= 2


def test_agrees_with_opencv() -> None:
    y, u, v = planes_of(2, 64, 48)
    packed = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(72, 64)
    theirs = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420).astype(int)
    region = yuv420_region_to_rgb((y, u, v), (0, 0, 64, 48), "bt601", "limited")
    assert np.abs(region - theirs).max() <= 2


@pytest.mark.parametrize("colour_range", ["limited", "full"])
@pytest.mark.parametrize("space", ["bt601", "bt709"])
@given(
    seed=st.integers(0, 10**6),
    size=SIZES,
    corners=st.tuples(*[st.integers(-9, 50)] * 4),
)
def test_a_round_trip_touches_its_box_alone(
    space: str, colour_range: str, seed: int, size: tuple[int, int], corners: tuple[int, ...]
) -> None:
    width, height = size
    before = planes_of(seed, width, height)
    after = tuple(p.copy() for p in before)
    x0, x1 = sorted((corners[0], corners[2]))
    y0, y1 = sorted((corners[1], corners[3]))
    box = even_box((x0, y0, x1, y1), width, height)
    left, top, right, bottom = box
    assert left <= max(x0, 0) or left == right
    assert right >= min(x1, width)
    rgb = yuv420_region_to_rgb(after, box, space, colour_range)
    rgb_to_yuv420_region(after, box, np.full_like(rgb, 90), space, colour_range)
    inside = np.zeros((height, width), bool)
    inside[top:bottom, left:right] = True
    assert np.array_equal(after[0][~inside], before[0][~inside])
    half = np.zeros(before[1].shape, bool)
    half[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2] = right > left and bottom > top
    for channel in (1, 2):
        assert np.array_equal(after[channel][~half], before[channel][~half])
        assert np.all(np.abs(after[channel][half].astype(int) - 128) <= 1), "grey has no chroma"


@pytest.mark.parametrize("space", ["bt601", "bt709"])
@given(seed=st.integers(0, 10**6), size=SIZES)
def test_rgb_survives_the_way_there_and_back(space: str, seed: int, size: tuple[int, int]) -> None:
    width, height = size
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 3), dtype=np.uint8)
    rgb = blocks.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    back = yuv420_region_to_rgb(
        rgb_to_yuv420(rgb, space, "full"), (0, 0, width, height), space, "full"
    )
    assert np.abs(back.astype(int) - rgb).max() <= 2


@pytest.mark.parametrize("space", ["bt601", "bt709"])
def test_planes_survive_a_round_trip_within_a_level(space: str) -> None:
    before = planes_of(7, 64, 48)
    after = tuple(p.copy() for p in before)
    box = (0, 0, 64, 48)
    # Chroma so weak that no colour is clipped.
    for planes in (before, after):
        for p in planes[1:]:
            p[:] = 128 + (p.astype(int) - 128) // 8
        planes[0][:] = np.clip(planes[0], 60, 190)
    rgb_to_yuv420_region(after, box, yuv420_region_to_rgb(after, box, space), space)
    for one, other in zip(before, after, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_boxes_that_split_chroma_are_refused() -> None:
    planes = planes_of(0, 16, 16)
    with pytest.raises(ValueError, match="even"):
        yuv420_region_to_rgb(planes, (1, 0, 8, 8))
    with pytest.raises(ValueError, match="even"):
        rgb_to_yuv420_region(planes, (0, 0, 7, 8), np.zeros((8, 7, 3), np.uint8))


def test_matrices_are_inverse() -> None:
    for space in SPACES:
        forward, backward = yuv_matrix(space, "limited")
        assert np.allclose(forward[:, :3] @ backward[:, :3], np.eye(3), atol=1e-4)
