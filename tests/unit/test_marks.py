"""The visible mark: seen in its corner, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.media.colour import Planes, rgb_to_yuv420, yuv420_to_rgb
from likeness.provenance.marks import Corner, make_mark, stamp
from tests.marked import only_the_mark_changed

TEXT = "AI face swap · likeness"


def flat(width: int, height: int, level: int) -> Planes:
    return rgb_to_yuv420(np.full((height, width, 3), level, np.uint8))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_letters_stand_out_from_their_plate_on_any_picture(level: int) -> None:
    mark = make_mark(TEXT, (640, 360))
    rgb = yuv420_to_rgb(stamp(flat(640, 360, level), mark)).astype(int)
    rows, columns = mark.plate.shape
    part = rgb[mark.y0 : mark.y0 + rows, mark.x0 : mark.x0 + columns].mean(axis=2)
    letters = part[mark.letters > 0.8]
    plate = part[(mark.plate > 0.6) & (mark.letters == 0)]
    assert letters.size > 200
    assert letters.min() > 180
    assert plate.max() < 105
    assert letters.min() - plate.max() > 90


@pytest.mark.parametrize("corner", ["top-left", "top-right", "bottom-left", "bottom-right"])
def test_nothing_outside_the_plate_changes(corner: Corner) -> None:
    random = np.random.default_rng(0)
    planes = rgb_to_yuv420(random.integers(0, 256, (360, 640, 3), dtype=np.uint8))
    mark = make_mark(TEXT, (640, 360), corner)
    assert (mark.x0 > 320) == corner.endswith("right")
    assert (mark.y0 > 180) == corner.startswith("bottom")
    stamped = stamp(planes, mark)
    assert only_the_mark_changed(stamped, planes, mark)
    stamped[1][90, 160] ^= 1
    assert not only_the_mark_changed(stamped, planes, mark)


def test_the_given_planes_are_left_as_they_are() -> None:
    planes = flat(320, 180, 200)
    before = tuple(plane.copy() for plane in planes)
    stamp(planes, make_mark(TEXT, (320, 180)))
    assert all(np.array_equal(a, b) for a, b in zip(planes, before, strict=True))


def test_full_range_white_is_whiter() -> None:
    mark = make_mark(TEXT, (640, 360), opacity=1.0)
    limited = stamp(flat(640, 360, 0), mark)[0].max()
    full = stamp(flat(640, 360, 0), mark, full_range=True)[0].max()
    assert (limited, full) == (235, 255)


def test_letters_follow_the_size_of_the_frame_and_stay_legible() -> None:
    heights = [make_mark(TEXT, size).plate.shape[0] for size in ((640, 360), (1920, 1080))]
    assert heights[1] > 2.5 * heights[0]
    assert make_mark(TEXT, (400, 300)).plate.shape[0] >= 18


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 400), st.integers(2, 300), st.sampled_from(["top-left", "bottom-right"]))
def test_a_mark_fits_every_frame(width: int, height: int, corner: Corner) -> None:
    mark = make_mark(TEXT, (width, height), corner)
    rows, columns = mark.plate.shape
    assert mark.x0 >= 0
    assert mark.y0 >= 0
    assert mark.x0 + columns <= width
    assert mark.y0 + rows <= height
    planes = flat(width, height, 100)
    stamped = stamp(planes, mark)
    assert [plane.shape for plane in stamped] == [plane.shape for plane in planes]
