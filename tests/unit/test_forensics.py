"""Traces with known answers, and a detector that cannot see what it is judged on."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from likeness.metrics.forensics import features as traces
from likeness.metrics.forensics.detector import Pairs, auc, auc_of, fit
from likeness.metrics.forensics.folds import NO_FACES, NO_OTHERS, ONE_CLIP, Faces, judge

Pixels = npt.NDArray[np.uint8]
SIDE = 160


def skin(seed: int = 0, sigma: float = 1.2) -> npt.NDArray[np.float64]:
    """Luma (SIDE,SIDE) with the falling spectrum of a picture."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    coarse = cv2.GaussianBlur(noise, (0, 0), 12)
    fine = cv2.GaussianBlur(noise, (0, 0), sigma)
    return 128 + 400 * coarse + 40 * fine


def disc() -> Pixels:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (SIDE // 2, SIDE // 2), 50, 255, -1)
    return mask


def seen(luma: npt.NDArray[np.float64], chroma: float = 128.0, inside: float | None = None):
    """Features by name of a luma plane, with chroma of one level and another one in the mask."""
    plane = np.full((SIDE // 2, SIDE // 2), chroma)
    plane[disc()[::2, ::2] > 0] = chroma if inside is None else inside
    pair = (plane.round().astype(np.uint8),) * 2
    found = traces.features(luma.clip(0, 255).round().astype(np.uint8), pair, disc())
    assert found.shape == (len(traces.NAMES),)
    return dict(zip(traces.NAMES, found, strict=True))


def joined(inside: npt.NDArray[np.float64], outside: npt.NDArray[np.float64]):
    return np.where(disc() > 0, inside, outside)


def test_a_wave_stands_in_the_ring_of_its_frequency() -> None:
    for cycles in (0.05, 0.2, 0.35, 0.48):
        wave = 128 + 60 * np.sin(2 * np.pi * cycles * np.arange(SIDE))
        found = traces.spectrum(np.tile(wave, (SIDE, 1)).round().astype(np.uint8))
        assert found.argmax() == int(cycles * 2 * traces.SPECTRUM_BINS)
        assert found.mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("u", "v"), [(1, 0), (0, 3), (2, 2), (5, 6), (7, 7)])
def test_a_basis_function_stands_in_its_band(u: int, v: int) -> None:
    coefficients = np.zeros((8, 8))
    coefficients[u, v] = 400
    block = cv2.idct(coefficients) + 128
    plane = np.tile(block, (20, 20)).round().astype(np.uint8)
    found = traces.dct_bands(plane, np.ones(plane.shape, bool))
    assert found.argmax() + 1 == u + v


def test_a_blurred_face_lacks_high_frequencies_its_neighbourhood_has() -> None:
    sharp = skin(sigma=0.6)
    plain, blurred = seen(sharp), seen(joined(cv2.GaussianBlur(sharp, (0, 0), 2.5), sharp))
    fall, steeper = (f["spectrum_08"] - f["spectrum_01"] for f in (plain, blurred))
    assert steeper < fall - 0.3
    assert blurred["dct_step_06"] < plain["dct_step_06"] - 0.5
    assert blurred["residual_inside_outside"] < plain["residual_inside_outside"] - 0.5
    assert blurred["residual_inner_outer"] < plain["residual_inner_outer"] - 0.3


def test_a_noisy_face_shows_in_the_residual() -> None:
    noise = np.random.default_rng(1).normal(0, 6, (SIDE, SIDE))
    plain, noisy = seen(skin()), seen(joined(skin() + noise, skin()))
    assert noisy["residual_inside_outside"] > plain["residual_inside_outside"] + 0.3


def test_a_hard_edge_stands_on_the_rim() -> None:
    plain, pasted = seen(skin()), seen(joined(skin() + 25, skin()))
    for name in ("gradient_border_inner", "gradient_border_outer", "residual_border_outer"):
        assert pasted[name] > plain[name] + 0.2


def test_the_colour_step_is_the_distance_between_both_sides() -> None:
    flat = np.full((SIDE, SIDE), 100.0)
    assert seen(flat)["colour_step"] == pytest.approx(0)
    found = seen(joined(flat + 6, flat), chroma=120, inside=122)["colour_step"]
    assert found == pytest.approx(np.sqrt(6**2 + 2**2 + 2**2), abs=0.3)


def test_few_strong_pixels_raise_the_kurtosis() -> None:
    dots = skin()
    dots[::9, ::9] += 60
    assert seen(dots)["residual_kurtosis"] > seen(skin())["residual_kurtosis"] + 0.3


def test_what_has_no_outside_is_not_measured() -> None:
    luma = skin().clip(0, 255).astype(np.uint8)
    chroma = np.full((SIDE // 2, SIDE // 2), 128, np.uint8)
    found = traces.features(luma, (chroma, chroma), np.full((SIDE, SIDE), 255, np.uint8))
    named = dict(zip(traces.NAMES, found, strict=True))
    assert np.isnan([named["dct_step_01"], named["residual_inside_outside"]]).all()
    assert np.isfinite([named["spectrum_05"], named["dct_03"]]).all()


SCORES = hnp.arrays(np.float64, st.integers(1, 30), elements=st.integers(-4, 4))


@given(SCORES, st.data())
def test_auc_counts_pairs(scores: npt.NDArray[np.float64], data: st.DataObject) -> None:
    labels = data.draw(hnp.arrays(bool, len(scores)))
    real, swapped = scores[~labels], scores[labels]
    if not len(real) or not len(swapped):
        assert np.isnan(auc(scores, labels))
        return
    wins = (swapped[:, None] > real).mean() + 0.5 * (swapped[:, None] == real).mean()
    assert auc(scores, labels) == pytest.approx(wins)


def swap(clip: str, shift: float, *, seed: int = 0, level: float = 0.0, count: int = 60) -> Faces:
    """Four features; the first is moved by `shift` in swapped faces, all lie at `level`."""
    rng = np.random.default_rng(seed)
    real = rng.normal(level, 1, (count, 4))
    swapped = real + rng.normal(0, 0.2, (count, 4))
    swapped[:, 0] += shift
    return Faces(f"x-on-{clip}", clip, Pairs(real, swapped, np.arange(count) // 10))


def test_the_detector_finds_what_a_swap_changes_whatever_the_clip_is_like() -> None:
    found, detectors = judge([swap("a", 3, level=-50), swap("b", 3, seed=1, level=80)], 0.1)
    assert all((v.auc or 0) > 0.95 for v in found.values())
    assert {v.trained_clips for v in found.values()} == {1}
    for detector in detectors:
        assert np.abs(detector.weights).argmax() == 0


def test_what_is_true_of_one_clip_alone_does_not_help_on_another() -> None:
    """The held-out clip's own faces would tell everything: they are not looked at."""
    found, _ = judge([swap("a", 3), swap("b", -3, seed=1)], 0.1)
    assert all((v.auc or 1) < 0.1 for v in found.values())


def test_swaps_of_the_same_clip_are_held_out_together() -> None:
    first, second = swap("a", 3), swap("a", 3, seed=2)
    second = Faces("y-on-a", "a", second.pairs)
    found, detectors = judge([first, second, swap("b", 3, seed=1)], 0.1)
    assert len(detectors) == 2
    assert found["x-on-a"].trained_pairs == found["y-on-a"].trained_pairs == 60
    assert found["x-on-b"].trained_pairs == 120


def test_the_same_content_is_guessing() -> None:
    same = swap("a", 3)
    same = Faces("same", "a", Pairs(same.pairs.real, same.pairs.real, same.pairs.seconds))
    found, _ = judge([same, swap("b", 3, seed=1), swap("c", 3, seed=2)], 0.1)
    assert found["same"].auc == 0.5
    assert (found["same"].low, found["same"].high) == (0.5, 0.5)


def test_with_one_clip_there_is_no_figure_and_the_reason() -> None:
    found, detectors = judge([swap("a", 3), Faces("y", "a", swap("a", 3).pairs)], 0.1)
    assert detectors == []
    assert {(v.auc, v.reason) for v in found.values()} == {(None, ONE_CLIP)}
    assert judge([], 0.1) == ({}, [])


def test_swaps_without_faces_are_named() -> None:
    empty = swap("b", 0, count=0)
    found, _ = judge([swap("a", 3), empty], 0.1)
    assert (found["x-on-a"].reason, found["x-on-b"].reason) == (NO_OTHERS, NO_FACES)


def test_the_interval_holds_the_figure_and_draws_seconds_not_faces() -> None:
    detector = fit([swap("a", 0.7).pairs], 0.1)
    judged = swap("b", 0.7, seed=5, count=200).pairs
    value, low, high = auc_of(detector, judged)
    assert low < value < high
    # The same faces ten times over in one second each say nothing new.
    often = Pairs(
        *(np.repeat(kind, 10, axis=0) for kind in (judged.real, judged.swapped)),
        np.repeat(judged.seconds, 10),
    )
    again = auc_of(detector, often)
    assert again == pytest.approx((value, low, high), abs=0.01)
    one = Pairs(judged.real, judged.swapped, np.zeros(200, np.int64))
    assert np.isnan(auc_of(detector, one)[1:]).all()


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-100, 100))
def test_the_fit_is_the_same_each_time_and_blind_to_the_level(seed: int, level: float) -> None:
    first = fit([swap("a", 1, seed=seed).pairs], 0.1)
    again = fit([swap("a", 1, seed=seed).pairs], 0.1)
    moved = fit([swap("a", 1, seed=seed, level=level).pairs], 0.1)
    assert np.array_equal(first.weights, again.weights)
    assert moved.weights == pytest.approx(first.weights, abs=1e-6)


def test_the_fit_is_at_the_minimum() -> None:
    """The slope of the penalised loss, computed by hand, is nothing there."""
    pairs = swap("a", 1).pairs
    detector = fit([pairs], 0.1)
    steps = (pairs.swapped - pairs.real) / detector.deviation
    doubt = 1 / (1 + np.exp(steps @ detector.weights))
    assert 0.1 * detector.weights == pytest.approx((steps * doubt[:, None]).mean(axis=0), abs=1e-8)


def test_unmeasured_features_count_as_average() -> None:
    pairs = swap("a", 2).pairs
    real, swapped = pairs.real.copy(), pairs.swapped.copy()
    real[::7, 1] = swapped[:, 2] = np.nan
    detector = fit([Pairs(real, swapped, pairs.seconds)], 0.1)
    assert np.isfinite(detector.weights).all()
    face = pairs.real[:1].copy()
    face[0, 1] = detector.mean[1]
    hidden = face.copy()
    hidden[0, 1] = np.nan
    assert detector.score(face) == pytest.approx(detector.score(hidden))
