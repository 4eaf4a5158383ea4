"""A linear detector and how well it tells real from swapped: small enough to be read.

Logistic regression with an L2 penalty, fitted by Newton's method (iteratively reweighted least
squares; Hastie et al., The Elements of Statistical Learning, 4.4.1): no random start, no step size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
STEPS = 50
CLOSE = 1e-8
"""Largest change of a weight at which the fit counts as finished."""
BOOTSTRAPS = 1000
SEED = 0


@dataclass(frozen=True)
class Detector:
    """A fitted detector.

    Attributes:
        mean, deviation: (F,) of the training features; a feature that was not measured (nan) or
            never varied counts as average.
        weights: (F,) per standard deviation; above 0 speaks for "swapped".
        bias: added to all.
    """

    mean: Values
    deviation: Values
    weights: Values
    bias: float

    def score(self, features: Values) -> Values:
        """Log odds (N,) that faces (N,F) are swapped."""
        return standardised(features, self.mean, self.deviation) @ self.weights + self.bias


def standardised(features: Values, mean: Values, deviation: Values) -> Values:
    """Features (N,F) in deviations from the mean; 0 where nan or without deviation."""
    known = np.where(deviation > 0, deviation, 1.0)
    scaled = (features - mean) / known
    return np.where(np.isfinite(scaled) & (deviation > 0), scaled, 0.0)


def fit(features: Values, swapped: Labels, weight: Values, l2: float) -> Detector:
    """Fit to faces.

    Args:
        features: (N,F), nan allowed.
        swapped: (N,), both kinds present.
        weight: (N,) of each face in the mean loss.
        l2: penalty l2/2 |weights|^2 beside the mean loss per face; above 0, so that the solution
            is unique even where the kinds can be parted without fault.
    """
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, features, 0.0)
    mean = filled.sum(axis=0) / count
    deviation = np.sqrt((np.where(known, features - mean, 0.0) ** 2).sum(axis=0) / count)
    deviation = np.where(deviation > 1e-9, deviation, 0.0)
    inputs = standardised(features, mean, deviation)
    solved = _newton(np.column_stack([inputs, np.ones(len(inputs))]), swapped, weight, l2)
    return Detector(mean, deviation, solved[:-1], float(solved[-1]))


def _newton(inputs: Values, swapped: Labels, weight: Values, l2: float) -> Values:
    """Weights (F+1,) at the minimum; the last, of the constant input, is not penalised."""
    shares = weight / weight.sum()
    penalty = np.full(inputs.shape[1], l2)
    penalty[-1] = 0.0
    solved = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        chance = _logistic(inputs @ solved)
        slope = inputs.T @ (shares * (chance - swapped)) + penalty * solved
        curvature = shares * np.maximum(chance * (1 - chance), 1e-12)
        hessian = (inputs * curvature[:, None]).T @ inputs + np.diag(penalty)
        step = _damped(np.linalg.solve(hessian, slope))
        solved = solved - step
        if np.abs(step).max() < CLOSE:
            break
    return solved


def _damped(step: Values) -> Values:
    """A step of at most 2 in any weight: a full one may overshoot where the kinds part well."""
    return step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))


def _logistic(odds: Values) -> Values:
    return 1.0 / (1.0 + np.exp(-np.clip(odds, -40, 40)))


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


def auc_interval(
    scores: Values, swapped: Labels, blocks: npt.NDArray[np.integer], rounds: int = BOOTSTRAPS
) -> tuple[float, float]:
    """95 % percentile interval of `auc` by bootstrap over blocks, with a fixed seed.

    Neighbouring frames say the same twice, so that whole blocks (seconds) are drawn, not faces.

    Args:
        scores, swapped: (N,).
        blocks: (N,) number of the block of each face.
        rounds: bootstrap samples.
    """
    names = np.unique(blocks)
    if len(names) < 2:
        return float("nan"), float("nan")
    rows = [np.flatnonzero(blocks == name) for name in names]
    draws = np.random.default_rng(SEED).integers(0, len(names), (rounds, len(names)))
    found = []
    for draw in draws:
        chosen = np.concatenate([rows[i] for i in draw])
        found.append(auc(scores[chosen], swapped[chosen]))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)
