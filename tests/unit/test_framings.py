"""Framings of a face, from half face to head: one face, wider and wider."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from likeness.vision import alignment
from likeness.vision.templates import FRAMINGS, HALF_DROP, HALF_EYES, eye_distance_px, template

ORDER = ("half_face", "mid_face", "full_face", "whole_face", "head")


def square(name: str) -> np.ndarray:
    """x0, y0, x1, y1 of the crop on the face: the eyes' middle at 0, their distance 1."""
    points = template(name, 512)
    unit = np.linalg.norm(points[1] - points[0])
    low, high = -0.5 - points[:2].mean(axis=0), 511.5 - points[:2].mean(axis=0)
    return np.concatenate([low, high]) / unit


def test_each_framing_holds_the_one_before() -> None:
    assert tuple(FRAMINGS) == ORDER
    for inner, outer in pairwise(ORDER):
        small, large = square(inner), square(outer)
        assert (large[:2] < small[:2]).all()
        assert (large[2:] > small[2:]).all()


def test_sides_are_the_half_face_and_what_goes_beyond_it() -> None:
    assert eye_distance_px("half_face", 100) == pytest.approx(100 * HALF_EYES)
    for name, beyond in zip(ORDER, (0, 0.0675, 0.2109375, 0.4, 0.7), strict=True):
        side = eye_distance_px("half_face", 100) / eye_distance_px(name, 100)
        assert side == pytest.approx(1 + 2 * 2**0.5 * beyond)


def test_the_half_face_hangs_from_the_eyes_and_wider_ones_show_more_forehead() -> None:
    eyes = {name: float(template(name, 1000)[:2, 1].mean()) + 0.5 for name in ORDER}
    assert eyes["half_face"] == pytest.approx(1000 * (0.5 - HALF_DROP))
    heights = [square(name)[1::2] for name in ORDER]
    share = [-top / (bottom - top) for top, bottom in heights]
    assert share == sorted(share)  # of the crop, above the eyes


def test_framings_show_one_face_unturned() -> None:
    whole = template("ffhq_512", 256)
    for name in ORDER:
        points = template(name, 256)
        affine = alignment.umeyama(whole, points)
        assert alignment.apply(affine, whole) == pytest.approx(points, abs=1e-6)
        assert affine[0, 1] == pytest.approx(0, abs=1e-9)
        assert points[:2, 0].mean() == pytest.approx(127.5, abs=1e-6)
