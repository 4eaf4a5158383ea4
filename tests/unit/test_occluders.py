"""Occluders drawn onto faces: the same from the same numbers, true to their labels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from likeness.vision.framing import face_square
from likeness.vision.occluders import hands, light, things
from likeness.vision.occluders.bare import Bare, bare
from likeness.vision.occluders.canvas import Face, lay
from likeness.vision.occluders.lesson import KINDS, lesson
from tests.drawn_face import drawn_crop

SIDE = 96


@pytest.fixture(scope="module")
def crop() -> Bare:
    return bare(*drawn_crop())


def test_a_lesson_depends_on_its_numbers_alone(crop: Bare) -> None:
    later = [lesson([crop], 3, index, SIDE) for index in (7, 5)][1]
    first = lesson([crop], 3, 5, SIDE)
    for name in ("rgb", "points", "covers", "counts"):
        assert np.array_equal(getattr(later, name), getattr(first, name)), name
    assert not np.array_equal(first.rgb, lesson([crop], 4, 5, SIDE).rgb)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_hides_some_of_the_face_and_says_where(crop: Bare, kind: str) -> None:
    """Beside what is covered (and its shadow) a layer leaves the picture alone."""
    rng = np.random.default_rng(11)
    square = cv2.warpAffine(crop.rgb, face_square(crop.points, SIDE), (SIDE, SIDE))
    matrix = face_square(crop.points, SIDE)
    points = crop.points @ matrix[:, :2].T + matrix[:, 2]
    picture = square.astype(np.float32)
    hidden = []
    for _ in range(8):
        layer = KINDS[kind][0](Face(picture, points, crop.skin, crop.hairs), rng, picture)
        found = lay(picture, layer)
        untouched = (layer.opacity == 0) & (layer.shadow == 0)
        assert np.array_equal(found[untouched], picture[untouched])
        assert layer.covers.min() >= 0 and layer.covers.max() <= 1 + 1e-5
        assert not layer.covers[layer.opacity == 0].any()
        hidden.append(float(layer.covers.mean()))
    assert max(hidden) > 0.005


def test_clear_glass_hides_nothing_and_dark_glass_does(crop: Bare) -> None:
    matrix = face_square(crop.points, SIDE)
    points = crop.points @ matrix[:, :2].T + matrix[:, 2]
    picture = np.full((SIDE, SIDE, 3), 150, np.float32)
    face = Face(picture, points, crop.skin, crop.hairs)
    rng = np.random.default_rng(0)
    at_eye = np.round(points[[159, 145]].mean(axis=0)).astype(int)
    covers = {float(things.spectacles(face, rng).covers[at_eye[1], at_eye[0]]) for _ in range(40)}
    assert min(covers) == 0.0
    assert max(covers) == 1.0


def test_fingers_are_round_and_seen_from_one_side(crop: Bare) -> None:
    height = hands.tube(SIDE, np.array([[20.0, 48], [70, 48]]), np.array([10.0, 10.0]))
    assert height[48, 45] == pytest.approx(1.0, abs=0.06)
    assert height[43, 45] == pytest.approx(0.5, abs=0.06)
    assert height[36, 45] == 0.0


def test_a_bare_crop_knows_its_hair_and_leaves_out_what_it_cannot_tell(crop: Bare) -> None:
    rgb, points = drawn_crop()
    brow = points[9].astype(int)
    above = (points[10] + 0.12 * (points[10] - points[152])).astype(int)
    assert crop.hair[brow[1], brow[0]] == 0 and crop.known[brow[1], brow[0]] == 1
    assert crop.hair[above[1], above[0]] == 1 and crop.known[above[1], above[0]] == 1
    assert crop.known[2, 2] == 0
    assert np.abs(crop.skin - rgb[brow[1], brow[0]]).max() < 25


def test_side_light_changes_no_label(crop: Bare) -> None:
    """Light is no occluder: whatever falls on the face, it is asked for as face."""
    rng = np.random.default_rng(5)
    face = Face(crop.rgb.astype(np.float32), crop.points, crop.skin, crop.hairs)
    lit = light.lit(face, face.rgb, rng)
    assert lit.shape == face.rgb.shape
    nothing = [lesson([crop], 9, index, SIDE) for index in range(60)]
    free = [one for one in nothing if not one.kinds]
    assert free
    for one in free:
        middle = one.points[list(range(4, 7))].mean(axis=0).astype(int)
        assert one.covers[middle[1], middle[0]] == 0
        assert one.counts[middle[1], middle[0]] == 255
