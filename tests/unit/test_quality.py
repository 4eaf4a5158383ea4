"""Sharpness, hashes, cuts and repeats rank pictures as a person would."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.media.colour import rgb_to_yuv420
from likeness.vision.quality import (
    Look,
    hash_distance,
    look_at,
    perceptual_hash,
    repeats,
    sharpness,
    shot_change,
)
from tests.footage import corners


def scene(seed: int, size: tuple[int, int] = (320, 180)) -> np.ndarray:
    """A picture of large soft shapes in colours of its own, with some texture."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    soft = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(soft + random.integers(-12, 13, soft.shape), 0, 255).astype(np.uint8)


def look(rgb: np.ndarray) -> Look:
    """Look of an RGB picture."""
    return look_at(*rgb_to_yuv420(rgb))


def luma(rgb: np.ndarray) -> np.ndarray:
    """Luma of an RGB picture."""
    return rgb_to_yuv420(rgb)[0]


def test_blur_lowers_sharpness() -> None:
    y = luma(scene(0))
    values = [sharpness(cv2.GaussianBlur(y, (0, 0), s)) for s in (0.5, 1, 2, 4)]
    assert sharpness(y) > values[0] > values[1] > values[2] > values[3] > 0


def test_sharpness_is_by_content_not_by_size() -> None:
    y = cv2.GaussianBlur(luma(scene(1, (1024, 576))), (0, 0), 3)
    small = cv2.resize(y, (512, 288), interpolation=cv2.INTER_AREA)
    assert sharpness(y) == pytest.approx(sharpness(small), rel=0.05)


def test_sharpness_of_flat_and_of_missing_pictures_is_zero() -> None:
    assert sharpness(np.full((40, 60), 99, np.uint8)) == 0
    assert sharpness(np.zeros((0, 60), np.uint8)) == 0
    assert sharpness(np.array([[7]], np.uint8)) == 0


def test_hash_survives_compression_and_tells_scenes_apart() -> None:
    hashes = [perceptual_hash(look(scene(seed)).thumbnail) for seed in range(20)]
    for seed, expected in enumerate(hashes):
        data = cv2.imencode(".jpg", scene(seed), [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
        squeezed = cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR), (640, 360))
        assert hash_distance(perceptual_hash(look(squeezed).thumbnail), expected) <= 6
    apart = [hash_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 12


@given(st.integers(0, 255))
def test_flat_pictures_share_one_hash(level: int) -> None:
    thumbnail = np.full((32, 32), level, np.uint8)
    assert perceptual_hash(thumbnail) & (2**63 - 1) == 0
    assert 0 <= perceptual_hash(thumbnail) < 2**64


def test_a_cut_stands_out_from_movement_light_and_noise() -> None:
    one = scene(3)
    cuts = [shot_change(look(one), look(scene(seed))) for seed in range(4, 24)]
    moved = shot_change(look(one), look(np.roll(one, 12, axis=1)))
    brighter = shot_change(look(one), look(np.clip(one.astype(int) + 40, 0, 255).astype(np.uint8)))
    noisy = shot_change(look(one), look(np.roll(one, 1, axis=0)))
    assert min(cuts) > 0.12
    assert max(moved, brighter, noisy) < 0.06
    assert shot_change(look(one), look(one)) == 0


def test_cuts_between_flat_pictures_count() -> None:
    black, red = np.zeros((90, 160, 3), np.uint8), np.full((90, 160, 3), (200, 0, 0), np.uint8)
    assert shot_change(look(black), look(red)) > 0.3
    assert shot_change(look(black), look(scene(1))) > 0.3
    assert shot_change(look(black), look(black)) == 0


def test_a_repeat_is_told_from_a_small_movement() -> None:
    still = scene(5, (640, 360))
    data = cv2.imencode(".jpg", still, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    again = cv2.imdecode(data, cv2.IMREAD_COLOR)
    blink = still.copy()
    blink[100:106, 200:212] = np.clip(blink[100:106, 200:212].astype(int) + 25, 0, 255)
    assert repeats(look(still), look(again), 2)
    assert not repeats(look(still), look(blink), 2)


@pytest.mark.parametrize("size", [(2, 2), (33, 17), (96, 64), (1280, 720)])
def test_any_size_can_be_looked_at(size: tuple[int, int]) -> None:
    seen = look(corners(0, size))
    assert seen.thumbnail.shape == (32, 32)
    assert seen.detail.shape[1] == 128
    assert seen.histogram.sum() == pytest.approx(3, abs=1e-4)
