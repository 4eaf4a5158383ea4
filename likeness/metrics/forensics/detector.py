"""A linear detector and how well it tells real from swapped: small enough to be read.

Real and swapped faces come in pairs, the same place of the same frame. The detector is the
conditional logistic regression of matched pairs (Breslow and Day 1980, chapter 7): it maximises the
likelihood that of each pair the swapped one scores higher. Between clips sharpness, noise and light
differ far more than between a face and its swap; in the difference of a pair all of that is gone,
and what is learned is what a swap changes. L2 penalty, Newton's method: no random start, no step
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
STEPS = 100
CLOSE = 1e-8
"""Largest change of a weight at which the fit counts as finished."""
BOOTSTRAPS = 1000
SEED = 0


@dataclass(frozen=True)
class Pairs:
    """Faces of one swap, real and swapped at the same places.

    Attributes:
        real, swapped: (N,F) features; nan: not to be measured there.
        seconds: (N,) of the clip.
    """

    real: Values
    swapped: Values
    seconds: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Detector:
    """A fitted detector.

    Attributes:
        mean: (F,) of the training faces; stands in for what was not measured (nan).
        deviation: (F,) within a clip; 0 for a feature that never varied, which then counts nothing.
        weights: (F,) per deviation; above 0 speaks for "swapped".
    """

    mean: Values
    deviation: Values
    weights: Values

    def score(self, features: Values) -> Values:
        """(N,) for faces (N,F): the higher, the more like a swap. Has no natural zero."""
        return self._scaled(np.where(np.isfinite(features), features - self.mean, 0.0))

    def _scaled(self, centred: Values) -> Values:
        known = np.where(self.deviation > 0, self.deviation, 1.0)
        return (centred / known) @ np.where(self.deviation > 0, self.weights, 0.0)


def fit(swaps: Sequence[Pairs], l2: float) -> Detector:
    """Fit to the pairs of some swaps, each of which counts alike.

    Args:
        swaps: at least one, none of them empty.
        l2: penalty l2/2 |weights|^2 beside the mean loss per pair; above 0, so that the solution is
            unique even where every pair can be told.
    """
    kinds = [kind for swap in swaps for kind in (swap.real, swap.swapped)]
    mean = _over(np.concatenate(kinds))[0]
    deviation = np.sqrt(np.mean([_over(kind)[1] for kind in kinds], axis=0))
    deviation = np.where(deviation > 1e-9, deviation, 0.0)
    known = np.where(deviation > 0, deviation, 1.0)
    steps = [(swap.swapped - swap.real) / known * (deviation > 0) for swap in swaps]
    shares = np.concatenate([np.full(len(step), 1 / len(step) / len(steps)) for step in steps])
    inputs = np.concatenate(steps)
    weights = _newton(np.where(np.isfinite(inputs), inputs, 0.0), shares, l2)
    return Detector(mean, deviation, weights)


def _over(features: Values) -> tuple[Values, Values]:
    """Mean and variance (F,) of what was measured; 0 where nothing was."""
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, features, 0.0).sum(axis=0) / count
    return mean, (np.where(known, features - mean, 0.0) ** 2).sum(axis=0) / count


def _newton(steps: Values, shares: Values, l2: float) -> Values:
    """Weights (F,) at the minimum of sum(shares log(1 + exp(-steps w))) + l2/2 |w|^2."""
    solved = np.zeros(steps.shape[1])
    for _ in range(STEPS):
        doubt = 1.0 / (1.0 + np.exp(np.clip(steps @ solved, -40, 40)))
        slope = l2 * solved - steps.T @ (shares * doubt)
        curvature = shares * doubt * (1 - doubt)
        hessian = (steps * curvature[:, None]).T @ steps + l2 * np.eye(len(solved))
        step = np.linalg.solve(hessian, slope)
        # A full step may overshoot where the kinds part well.
        solved = solved - step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < CLOSE:
            break
    return solved


def auc(scores: Values, swapped: Labels) -> float:
    """Chance that a swapped face scores above a real one, ties half (Mann and Whitney 1947).

    0.5 is guessing. nan unless both kinds are there.
    """
    positive = int(swapped.sum())
    negative = len(swapped) - positive
    if not positive or not negative:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    return float((rank[place][swapped].sum() - positive * (positive + 1) / 2) / positive / negative)


def auc_of(detector: Detector, swap: Pairs) -> tuple[float, float, float]:
    """`auc` of a swap's faces, and its 95 % percentile interval by bootstrap with a fixed seed.

    Neighbouring frames say the same twice, so that whole seconds are drawn, not faces. The interval
    is nan where there are less than two of them.
    """
    real, swapped = detector.score(swap.real), detector.score(swap.swapped)
    rows = [np.flatnonzero(swap.seconds == second) for second in np.unique(swap.seconds)]
    if len(rows) < 2:
        return separation(real, swapped), np.nan, np.nan
    draws = np.random.default_rng(SEED).integers(0, len(rows), (BOOTSTRAPS, len(rows)))
    chosen = (np.concatenate([rows[i] for i in draw]) for draw in draws)
    found = [separation(real[taken], swapped[taken]) for taken in chosen]
    low, high = np.percentile(found, [2.5, 97.5])
    return separation(real, swapped), float(low), float(high)


def separation(real: Values, swapped: Values) -> float:
    """`auc` of scores of real (N,) and of swapped faces (M,)."""
    labels = np.repeat([False, True], [len(real), len(swapped)])
    return auc(np.concatenate([real, swapped]), labels)
