"""Poses in the plane of yaw and pitch: near-duplicates thinned, the rest triangulated.

The appearance map of Nirkin, Keller, Hassner, "FSGAN: Subject Agnostic Face Swapping and
Reenactment" (ICCV 2019), section 3.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import Delaunay, KDTree

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]


def merged(angles: Floats, quality: Floats, radius_deg: float) -> tuple[Indices, Indices]:
    """Views that stand for all others: the best first, each with what lies within the radius.

    Args:
        angles: (N,2) yaw and pitch, degrees.
        quality: (N,); of equal ones the first comes first.
        radius_deg: above 0.

    Returns:
        Indices (M,) of the views, best first, and how many of the N each one stands for, (M,).
    """
    free = np.ones(len(angles), np.bool_)
    kept: list[int] = []
    counts: list[int] = []
    if len(angles):
        tree = KDTree(angles)
        for row in np.lexsort((np.arange(len(angles)), -np.asarray(quality, np.float64))):
            if free[row]:
                near = np.array(tree.query_ball_point(angles[row], radius_deg))
                kept.append(int(row))
                counts.append(int(free[near].sum()))
                free[near] = False
    return np.array(kept, np.int64), np.array(counts, np.int64)


def triangulated(points: Floats) -> Indices:
    """Delaunay triangles (T,3) of points (P,2), P >= 4 and not all on one line; sorted."""
    found = np.sort(Delaunay(np.asarray(points, np.float64)).simplices.astype(np.int64), axis=1)
    return found[np.lexsort(found.T[::-1])]


def apart(places: Floats, distance: float) -> Indices:
    """The first of `places` (N,2), and each later one at least so far from all before it."""
    kept: list[int] = []
    for row, place in enumerate(places):
        if not kept or float(np.linalg.norm(places[kept] - place, axis=1).min()) >= distance:
            kept.append(row)
    return np.array(kept, np.int64)
