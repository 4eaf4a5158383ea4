"""Lab transfer: the statistics wanted are the statistics obtained; nothing else moves."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.vision.colour import (
    LabStatistics,
    SteadyColours,
    lab_statistics,
    lab_to_rgb,
    lab_transfer,
    rgb_to_lab,
)

Pixels = npt.NDArray[np.uint8]


def face_like(seed: int, base: tuple[int, int, int], spread: float = 14.0) -> Pixels:
    """Smooth patch (96,96,3) around a colour, well inside the gamut."""
    random = np.random.default_rng(seed)
    noise = cv2.resize(random.normal(0, 1, (12, 12, 3)), (96, 96), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.array(base) + noise * spread, 20, 235).astype(np.uint8)


WHOLE = np.ones((96, 96), np.float32)


def measured(rgb: Pixels, weight: npt.NDArray[np.float32] = WHOLE) -> LabStatistics:
    found = lab_statistics(rgb, weight)
    assert found is not None
    return found


def test_lab_and_back_keeps_every_grey_and_primary() -> None:
    levels = np.arange(256, dtype=np.uint8)
    greys = np.repeat(levels[None, :, None], 3, axis=2)
    primaries = np.eye(3, dtype=np.uint8)[None] * 255
    for picture in (greys, primaries):
        assert np.abs(lab_to_rgb(rgb_to_lab(picture)).astype(int) - picture).max() <= 1


def test_colours_beyond_the_gamut_are_clipped_and_never_wrap() -> None:
    lab = np.array([[[-20, 0, 0], [130, 0, 0], [30, -120, -120]]], np.float32)
    rgb = lab_to_rgb(lab)
    assert rgb[0, 0].max() == 0
    assert rgb[0, 1].min() == 255
    assert rgb[0, 2, 0] == 0  # far from red: nothing negative came back as its absolute value


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(80, 170)] * 3))
def test_transfer_gives_the_wanted_mean_and_deviation(
    seed: int, base: tuple[int, int, int]
) -> None:
    own, wanted = face_like(seed, (150, 110, 95)), face_like(seed + 1, base, 10.0)
    before, aim = measured(own), measured(wanted)
    after = measured(lab_transfer(own, before, aim, gain_limit=100.0))
    assert np.abs(np.array(after.mean) - aim.mean).max() < 0.5
    assert np.abs(np.array(after.deviation) - aim.deviation).max() < 0.5


def test_equal_statistics_change_no_pixel() -> None:
    own = face_like(3, (150, 110, 95))
    found = measured(own)
    assert np.array_equal(lab_transfer(own, found, found), own)


def test_strength_zero_changes_no_pixel_and_a_half_goes_half_way() -> None:
    own, wanted = face_like(4, (150, 110, 95)), face_like(5, (90, 110, 120))
    before, aim = measured(own), measured(wanted)
    assert np.array_equal(lab_transfer(own, before, aim, strength=0.0), own)
    half = measured(lab_transfer(own, before, aim, strength=0.5, gain_limit=100.0))
    middle = (np.array(before.mean) + aim.mean) / 2
    assert np.abs(np.array(half.mean) - middle).max() < 0.5


def test_a_monochrome_face_takes_the_chroma_of_the_target() -> None:
    grey = np.repeat(face_like(6, (120, 120, 120))[..., :1], 3, axis=2)
    skin = face_like(7, (170, 120, 100))
    after = measured(lab_transfer(grey, measured(grey), measured(skin)))
    assert np.abs(np.array(after.mean) - measured(skin).mean).max() < 0.7


def test_a_nearly_flat_channel_is_moved_and_its_noise_is_not_blown_up() -> None:
    flat = np.full((96, 96, 3), 128, np.uint8)
    flat[::7, ::5] += 1
    lively = face_like(8, (140, 120, 100), 40.0)
    after = lab_transfer(flat, measured(flat), measured(lively))
    assert after.std(axis=(0, 1)).max() < 1.0


def test_the_gain_is_limited() -> None:
    own, lively = face_like(9, (128, 128, 128), 6.0), face_like(9, (128, 128, 128), 36.0)
    before = measured(own)
    after = measured(lab_transfer(own, before, measured(lively), gain_limit=1.5))
    assert after.deviation[0] == pytest.approx(1.5 * before.deviation[0], rel=0.05)


def test_only_weighted_pixels_count() -> None:
    picture = face_like(10, (150, 110, 95))
    weight = np.zeros((96, 96), np.float32)
    weight[20:60, 20:60] = 1
    spoiled = picture.copy()
    spoiled[weight == 0] = (0, 255, 0)
    assert measured(spoiled, weight) == measured(picture, weight)


def test_too_little_weight_gives_no_statistics() -> None:
    weight = np.zeros((96, 96), np.float32)
    weight[:3, :4] = 1
    assert lab_statistics(face_like(1, (100, 100, 100)), weight) is None


def test_steady_colours_damp_a_flicker_per_track_and_start_afresh_in_a_new_one() -> None:
    low = LabStatistics((50.0, 5.0, 5.0), (10.0, 2.0, 2.0))
    high = LabStatistics((60.0, 5.0, 5.0), (10.0, 2.0, 2.0))
    steady = SteadyColours(0.8)
    seen = [steady.update((0, 0), s, s)[1].mean[0] for s in (low, high) * 50]
    assert seen[0] == 50.0
    assert np.ptp(seen[60:]) < 1.5  # of 10 before
    assert steady.update((1, 0), high, high)[1] == high


def test_no_memory_takes_each_frame_by_itself() -> None:
    steady = SteadyColours(0.0)
    first = LabStatistics((50.0, 5.0, 5.0), (10.0, 2.0, 2.0))
    second = LabStatistics((20.0, 1.0, 5.0), (4.0, 2.0, 2.0))
    steady.update((0, 0), first, first)
    assert steady.update((0, 0), second, first) == (second, first)
