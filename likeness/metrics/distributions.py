"""FID and KID: how far the crops of a swap, as a crowd, are from the target's.

The features are those of the pack's recogniser (likeness.metrics.perceptual), not Inception's: the
figures compare with each other, never with a paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
LEAST_IMAGES = 50
RESAMPLES = 200
SEED = 0
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval of confidence.

    Attributes:
        value, low, high: nan where refused; no interval without resamples.
        images: of the smaller of the two sets.
        reason: why there is no figure; empty where there is.
    """

    value: float
    low: float
    high: float
    images: int
    reason: str = ""


def fid(first: Features, second: Features, resamples: int = RESAMPLES) -> Estimate:
    """Frechet distance of two sets of features (N,D), (M,D) as Gaussians (Heusel et al. 2017).

    |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)). Biased upwards for few images.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(one), len(two)) < LEAST_IMAGES:
        return _refused(one, two)
    found = _estimate(one, two, _frechet, resamples)
    return replace(found, low=found.low if np.isnan(found.low) else max(found.low, 0.0))


def kid(first: Features, second: Features, resamples: int = RESAMPLES) -> Estimate:
    """Kernel distance of two sets of features (N,D), (M,D) (Binkowski et al. 2018, section 4).

    Squared maximum mean discrepancy with k(x, y) = (<x, y> / D + 1)^3, unbiased: about 0, and as
    often below as above, for two sets of one kind.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(one), len(two)) < LEAST_IMAGES:
        return _refused(one, two)
    within, across, other = _kernel(one, one), _kernel(one, two), _kernel(two, two)

    def discrepancy(weight: Values, weight_other: Values) -> float:
        total, rest = weight.sum(), weight_other.sum()
        inner = _off_diagonal(within, weight) + _off_diagonal(other, weight_other)
        return float(inner - 2 * (weight @ across @ weight_other) / (total * rest))

    return _estimate(one, two, lambda a, b, w, v: discrepancy(w, v), resamples)


def _kernel(first: Values, second: Values) -> Values:
    return (first @ second.T / first.shape[1] + 1.0) ** 3


def _off_diagonal(kernel: Values, weight: Values) -> float:
    """Weighted mean over pairs of different images; draws of the same one are no pair."""
    own = weight**2
    pairs = weight.sum() ** 2 - own.sum()
    return float((weight @ kernel @ weight - own @ np.diag(kernel)) / pairs)


def _frechet(first: Values, second: Values, weight: Values, weight_other: Values) -> float:
    """Frechet distance of weighted sets.

    tr((S1 S2)^(1/2)) is the sum of the singular values of A1 A2^T where S = A^T A, so that no
    matrix root is taken: exact and stable, also where there are fewer images than features.
    """
    parts = []
    for features, weights in ((first, weight), (second, weight_other)):
        mean = weights @ features / weights.sum()
        root = (features - mean) * np.sqrt(weights / max(weights.sum() - 1, 1.0))[:, None]
        if len(root) > root.shape[1]:
            # Q of a QR changes no singular value; what is left is no larger than the features.
            root = np.asarray(np.linalg.qr(root, mode="r"), np.float64)
        parts.append((mean, root))
    (mean, root), (mean_other, root_other) = parts
    crossed = np.linalg.svd(root @ root_other.T, compute_uv=False).sum()
    spread = (root**2).sum() + (root_other**2).sum()
    return max(float(((mean - mean_other) ** 2).sum() + spread - 2 * crossed), 0.0)


def _estimate(
    first: Values,
    second: Values,
    measure: Callable[[Values, Values, Values, Values], float],
    resamples: int,
) -> Estimate:
    """Figure and bootstrap interval (Efron 1979), the same each time.

    The draws' spread around their own median is laid around the figure: fewer different images in
    a draw move all draws alike, and that is no uncertainty of the figure.
    """
    value = measure(first, second, np.ones(len(first)), np.ones(len(second)))
    if not resamples:
        return Estimate(value, float("nan"), float("nan"), min(len(first), len(second)))
    random = np.random.default_rng(SEED)
    drawn = [
        measure(first, second, *(_drawn(random, len(part)) for part in (first, second)))
        for _ in range(resamples)
    ]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, middle, high = np.percentile(drawn, [tail, 50, 100 - tail])
    ends = (float(value + low - middle), float(value + high - middle))
    return Estimate(value, *ends, min(len(first), len(second)))


def _refused(first: Values, second: Values) -> Estimate:
    images = min(len(first), len(second))
    reason = f"{images} images, at least {LEAST_IMAGES} are needed"
    return Estimate(float("nan"), float("nan"), float("nan"), images, reason)


def _drawn(random: np.random.Generator, count: int) -> Values:
    """How often each of `count` images is drawn, with replacement."""
    return np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
