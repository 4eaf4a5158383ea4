"""Templates, similarity transforms and crops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.vision import alignment
from likeness.vision.box import Box
from likeness.vision.templates import NAMES, eye_distance_px, template

ANGLES = st.floats(-180, 180)
SCALES = st.floats(0.05, 20)
SHIFTS = st.floats(-2000, 2000)


def similarity(angle_deg: float, factor: float, x: float, y: float) -> alignment.Affine:
    turn = np.radians(angle_deg)
    linear = factor * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([linear, [x, y]])


@pytest.mark.parametrize("name", NAMES)
def test_templates_are_faces_and_scale_with_their_edges(name):
    points = template(name, 256)
    assert points.shape == (5, 2)
    assert points[0, 0] < points[2, 0] < points[1, 0]  # the nose lies between the eyes
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()
    assert ((points > 0) & (points < 255)).all()
    # Edges of the crop at -0.5 and size - 0.5 stay where they are.
    assert template(name, 512) == pytest.approx((points + 0.5) * 2 - 0.5)
    assert eye_distance_px(name, 512) == pytest.approx(2 * eye_distance_px(name, 256))


def test_native_sizes_give_the_published_points():
    assert template("arcface_112", 112)[2] == pytest.approx([56.0252, 71.7366])
    assert template("ffhq_512", 512)[0] == pytest.approx([192.98138, 239.94708])


@given(ANGLES, SCALES, SHIFTS, SHIFTS)
def test_umeyama_recovers_a_similarity(angle_deg, factor, x, y):
    affine = similarity(angle_deg, factor, x, y)
    points = template("ffhq_512", 256)
    found = alignment.umeyama(points, alignment.apply(affine, points))
    assert found.dtype == np.float64
    assert found == pytest.approx(affine, abs=1e-6 * max(1.0, factor, abs(x), abs(y)))


PLACES = st.integers(-2000, 2000)


@given(st.lists(st.tuples(PLACES, PLACES), min_size=5, max_size=5), st.integers(0, 2**31))
def test_umeyama_never_reflects(points, seed):
    to_points = np.random.default_rng(seed).normal(size=(5, 2))
    found = alignment.umeyama(np.array(points), to_points)
    linear = found[:, :2]
    assert np.linalg.det(linear) >= 0
    # Rotation times scale: columns of equal length, at right angles.
    assert linear[0, 0] == pytest.approx(linear[1, 1], abs=1e-9)
    assert linear[0, 1] == pytest.approx(-linear[1, 0], abs=1e-9)


def test_umeyama_of_a_mirrored_face_stays_a_rotation():
    points = template("ffhq_512", 256)
    found = alignment.umeyama(points * [-1, 1], points)
    assert np.linalg.det(found[:, :2]) > 0


def test_umeyama_is_a_least_squares_fit():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(5, 2)) * 40
    noisy = alignment.apply(similarity(20, 1.5, 3, 4), points) + rng.normal(size=(5, 2))
    best = alignment.umeyama(points, noisy)
    error = ((alignment.apply(best, points) - noisy) ** 2).sum()
    for step in np.eye(4) * 1e-3:
        other = best + np.array([[step[0], -step[1], step[2]], [step[1], step[0], step[3]]])
        assert ((alignment.apply(other, points) - noisy) ** 2).sum() > error


def test_umeyama_of_one_point_is_a_translation():
    same = np.full((5, 2), 7.0)
    assert alignment.umeyama(same, same + 3) == pytest.approx(np.array([[1, 0, 3], [0, 1, 3.0]]))


@given(ANGLES, st.floats(0.1, 10), SHIFTS, SHIFTS)
def test_invert_and_compose_undo_each_other(angle_deg, factor, x, y):
    affine = similarity(angle_deg, factor, x, y)
    there_and_back = alignment.compose(alignment.invert(affine), affine)
    assert there_and_back == pytest.approx(np.eye(3)[:2], abs=1e-6)
    assert alignment.scale(affine) == pytest.approx(factor)


def test_moved_fits_a_part_of_the_picture():
    affine, point = similarity(30, 2, 5, 6), np.array([40.0, 50.0])
    moved = alignment.moved(affine, 10, 20)
    assert alignment.apply(moved, point - [10, 20]) == pytest.approx(alignment.apply(affine, point))


def ramp(width: int, height: int) -> alignment.Image:
    """Red grows to the right, green downwards: every colour names its place."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 255, width)[None]
    rgb[..., 1] = np.linspace(0, 255, height)[:, None]
    return rgb


@pytest.mark.parametrize("factor", [0.2, 0.5, 0.8, 1.0, 1.7])
def test_warp_crop_puts_each_pixel_where_the_affine_says(factor):
    picture = cv2.GaussianBlur(ramp(400, 400), (0, 0), 2)
    affine = similarity(25, factor, 0, 0)
    affine[:, 2] = 31.5 - affine[:, :2] @ [200, 200]
    crop = alignment.warp_crop(picture, affine, 64)
    grid = np.stack(np.meshgrid(np.arange(64), np.arange(64)), axis=-1).astype(float)
    places = alignment.apply(alignment.invert(affine), grid)
    inside = ((places > 4) & (places < 395)).all(axis=-1)
    expected = places / 399 * 255
    difference = np.abs(crop[..., :2].astype(float) - expected)[inside]
    assert difference.max() < 2.0
    assert abs((crop[..., :2].astype(float) - expected)[inside].mean()) < 0.6  # no shift


def test_a_large_face_is_averaged_down_without_aliasing():
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255  # the finest pattern there is: only its mean survives
    affine = similarity(0, 0.13, 0, 0)
    crop = alignment.warp_crop(stripes, affine, 128)[8:-8, 8:-8].astype(float)
    assert crop.mean() == pytest.approx(127.5, abs=2)
    assert crop.std() < 8
    plain = cv2.warpAffine(stripes, affine, (128, 128), flags=cv2.INTER_LINEAR)
    assert plain[8:-8, 8:-8].std() > 5 * crop.std()


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    ANGLES,
    st.floats(0.002, 50),
    st.tuples(st.floats(-200, 200), st.floats(-200, 200)),
)
def test_a_crop_of_any_picture_at_any_place_is_a_crop(size, angle_deg, factor, centre):
    affine = similarity(angle_deg, factor, 0, 0)
    affine[:, 2] = 15.5 - affine[:, :2] @ centre
    grey = np.full((*size, 3), 90, np.uint8)
    crop = alignment.warp_crop(grey, affine, 32)
    assert crop.shape == (32, 32, 3)
    assert (crop == 90).all()


def test_a_crop_reads_only_its_region():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (300, 400, 3), np.uint8)
    affine = alignment.umeyama(template("ffhq_512", 64) * 1.4 + [120, 90], template("ffhq_512", 64))
    x0, y0, x1, y1 = alignment.region(affine, 64, 400, 300)
    assert (x1 - x0) * (y1 - y0) < 300 * 400 / 4
    part = alignment.warp_crop(picture[y0:y1, x0:x1], alignment.moved(affine, x0, y0), 64)
    assert np.array_equal(part, alignment.warp_crop(picture, affine, 64))


@given(st.floats(-500, 900), st.floats(-500, 700), st.floats(0.1, 5), ANGLES)
def test_regions_lie_in_the_frame_and_are_never_empty(x, y, factor, angle_deg):
    affine = similarity(angle_deg, factor, 0, 0)
    affine[:, 2] = 31.5 - affine[:, :2] @ [x, y]
    x0, y0, x1, y1 = alignment.region(affine, 64, 400, 300)
    assert 0 <= x0 < x1 <= 400
    assert 0 <= y0 < y1 <= 300
    bbox = np.array([x - 20, y - 20, x + 20, y + 20])
    wider = alignment.joined(Box(x0, y0, x1, y1), bbox, 1.5, 400, 300)
    assert wider[0] <= x0 < x1 <= wider[2]
    assert wider[1] <= y0 < y1 <= wider[3]
    assert min(wider) >= 0
    assert wider[2] <= 400
    assert wider[3] <= 300


def test_inside_marks_what_the_frame_shows():
    affine = np.array([[1.0, 0, 10], [0, 1, 0]])  # the frame begins 10 px from the crop's left
    shown = alignment.inside(affine, 32, 100, 20)
    assert (shown[:19, 11:] == 255).all()
    assert (shown[:, :9] == 0).all()
    assert (shown[21:] == 0).all()
