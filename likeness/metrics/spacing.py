"""A few out of many, spread alike: at even spacing, or as far from each other as can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def evenly(count: int, wanted: int) -> npt.NDArray[np.int64]:
    """At most `wanted` of 0..count-1 at even spacing, each in the middle of its stretch."""
    taken = min(count, wanted)
    return ((np.arange(taken) + 0.5) * count / max(taken, 1)).astype(np.int64)


def spread(points: npt.NDArray[np.floating], wanted: int) -> npt.NDArray[np.int64]:
    """At most `wanted` of points (N,D) that lie far from each other, as sorted indices.

    Greedy: begins at the point nearest to the mean, then takes the one farthest from all taken
    (Gonzalez 1985).
    """
    if len(points) <= wanted:
        return np.arange(len(points))
    values = np.asarray(points, np.float64)
    chosen = [int(np.linalg.norm(values - values.mean(axis=0), axis=1).argmin())]
    distance = np.linalg.norm(values - values[chosen[0]], axis=1)
    while len(chosen) < wanted:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(values - values[chosen[-1]], axis=1))
    return np.sort(np.array(chosen))
