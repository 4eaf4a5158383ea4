"""Masks in crop space and the One-Euro filter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from likeness.vision import masks
from likeness.vision.pose import project
from likeness.vision.smoothing import OneEuro, TrackFilter, smooth_track
from models.analysers.pack import load_pack

SIZE = 128


@pytest.fixture(scope="module")
def landmarks(pack_folder):
    vertices, _ = load_pack(pack_folder).canonical_mesh()
    points = project(vertices, (0, 0, 0), np.array([0, 0, 30.0]), (SIZE, SIZE))
    return np.column_stack([points, np.zeros(len(points))])


def test_hull_covers_every_vertex_and_no_corner(landmarks):
    mask = masks.hull_mask(landmarks, SIZE, SIZE)
    assert mask.shape == (SIZE, SIZE)
    assert mask.dtype == np.float32
    x, y = np.round(landmarks[:, :2]).astype(int).T
    assert (mask[y, x] > 0).mean() > 0.99  # a corner of the hull may miss its own px
    assert mask[[0, 0, -1, -1], [0, -1, 0, -1]].max() == 0
    assert mask.max() == 1.0


def test_hull_has_one_place_at_every_mask_size(landmarks):
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    large = masks.hull_mask(landmarks, SIZE, SIZE)
    small = masks.hull_mask(landmarks, SIZE, 32)
    for axis, grid in enumerate((columns, rows)):
        centre = (large * grid).sum() / large.sum()
        coarse = (small * grid[:32, :32]).sum() / small.sum()
        assert (coarse + 0.5) * 4 - 0.5 == pytest.approx(centre, abs=0.5), axis
    assert small.mean() == pytest.approx(large.mean(), rel=0.04)


def test_a_higher_forehead_only_adds_above(landmarks):
    plain = masks.hull_mask(landmarks, SIZE, SIZE)
    higher = masks.hull_mask(landmarks, SIZE, SIZE, forehead=0.2)
    assert (higher >= plain - 0.1).all()
    added = np.argwhere(higher - plain > 0.5)
    assert len(added) > 0
    assert added[:, 0].max() < landmarks[:, 1].mean()
    oval = masks.oval_mask(landmarks, SIZE, SIZE)
    assert (oval <= plain + 1e-6).mean() > 0.99


def test_meeting_keeps_what_both_have():
    hull, person = np.zeros((8, 8), np.float32), np.zeros((16, 16), np.float32)
    hull[2:6], person[:, :8] = 1.0, 1.0
    met = masks.meet(hull, person)
    assert met[2:6, :4].min() == 1.0
    assert met.sum() == 16.0


@pytest.mark.parametrize("width_px", [2, 6, 15])
def test_feather_falls_inwards(landmarks, width_px):
    mask = masks.hull_mask(landmarks, SIZE, SIZE)
    soft = masks.feather(mask, width_px)
    assert (soft <= mask + 1e-6).all()
    assert soft.max() == pytest.approx(1.0)
    middle = soft[SIZE // 2]
    rim = np.flatnonzero(mask[SIZE // 2])
    assert np.abs(np.diff(middle)).max() < 2.0 / width_px
    assert middle[rim[0] + width_px + 2] == pytest.approx(1.0, abs=0.05)
    assert masks.feather(mask, 0) is mask


def test_feather_keeps_a_face_that_the_crop_cuts():
    mask = np.ones((32, 32), np.float32)
    assert masks.feather(mask, 8).min() == 1.0


@given(hnp.arrays(np.uint8, (16, 16)))
def test_mask_bytes_round_trip(raw):
    mask = raw.astype(np.float32) / 255
    content = masks.to_bytes(mask)
    assert len(content) == 256
    assert np.array_equal(masks.from_bytes(content, 16), mask)


def test_one_euro_steadies_noise_and_follows_motion():
    rng = np.random.default_rng(0)
    times = np.arange(200) / 25
    still = rng.normal(0, 1, (200, 4))
    assert smooth_track(still, times, 1.0)[50:].std() < 0.5 * still.std()
    moving = np.repeat(times[:, None] * 200, 4, axis=1)
    lag = np.abs(smooth_track(moving, times, 1.0, beta=0.05) - moving)[100:].max()
    late = np.abs(smooth_track(moving, times, 1.0, beta=0.0) - moving)[100:].max()
    assert lag < late / 3


def test_one_euro_keeps_its_first_value_and_constants():
    one_euro = OneEuro()
    assert one_euro([3.0, 4.0], 0.0) == pytest.approx([3.0, 4.0])
    for step in range(1, 5):
        assert one_euro([3.0, 4.0], step / 30) == pytest.approx([3.0, 4.0])
    # A time that does not grow begins anew instead of dividing by zero.
    assert one_euro([9.0, 9.0], 4 / 30) == pytest.approx([9.0, 9.0])


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_one_euro_never_leaves_the_range_of_its_input(values):
    times = np.arange(len(values)) / 30
    smooth = smooth_track(values, times, 1.0, beta=0.1)
    assert smooth.min() >= min(values) - 1e-9
    assert smooth.max() <= max(values) + 1e-9


def test_tracks_are_filtered_apart_and_forgotten_at_a_cut():
    steady = TrackFilter(1.0, 0.0)
    steady([0.0], 0.0, (0, 0), 100)
    assert steady([10.0], 0.04, (0, 1), 100) == pytest.approx([10.0])  # another track
    assert steady([10.0], 0.04, (0, 0), 100)[0] < 5.0
    assert steady([10.0], 0.08, (1, 0), 100) == pytest.approx([10.0])  # another shot
