"""Poses in the plane of yaw and pitch: near-duplicates merged, the rest triangulated.

The appearance map of Nirkin, Keller, Hassner, "FSGAN: Subject Agnostic Face Swapping and
Reenactment" (ICCV 2019), section 3.1. Its K-D tree finds neighbours; here all distances of a kept
view are taken at once, which gives the same views and is quick for some thousand of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]

STEP_DEG = 0.01
"""Poses are rounded to this, far below what a mesh can tell, so that integers are exact."""
MOST_DEG = 90.0
"""No corner lies farther out: the integers' products must fit into 64 bits."""


def rounded(angles: Floats) -> Floats:
    """Angles to the nearest `STEP_DEG`, float64."""
    return np.round(np.round(np.asarray(angles, np.float64) / STEP_DEG) * STEP_DEG, 2)


def merged(angles: Floats, quality: Floats, radius_deg: float) -> tuple[Indices, Indices]:
    """Views that stand for all others: the best first, each for what lies within the radius.

    Args:
        angles: (N,2) yaw and pitch, degrees.
        quality: (N,); of equal ones the first comes first.
        radius_deg: 0 or more.

    Returns:
        Indices (M,) of the views, best first, and how many of the N each one stands for, (M,).
    """
    free = np.ones(len(angles), np.bool_)
    kept, counts = [], []
    for row in np.lexsort((np.arange(len(angles)), -np.asarray(quality, np.float64))):
        if free[row]:
            near = free & (np.square(angles - angles[row]).sum(axis=1) <= radius_deg**2)
            kept.append(int(row))
            counts.append(int(near.sum()))
            free &= ~near
    return np.array(kept, np.int64), np.array(counts, np.int64)


def triangulated(angles: Floats, corner_deg: float) -> Indices:
    """Delaunay triangles of views and the four empty corners around them.

    Points are added one by one (Bowyer and Watson, 1981), in integers: no case is a matter of
    rounding, and the result is the same everywhere.

    Args:
        angles: (N,2) multiples of `STEP_DEG`, no two alike, all nearer to 0 than the corners.
        corner_deg: at most `MOST_DEG`.

    Returns:
        (2N+2,3) sorted indices of the views and then the corners: (-,-), (-,+), (+,-), (+,+).
    """
    count, edge = len(angles), round(corner_deg / STEP_DEG)
    corners = [(-edge, -edge), (-edge, edge), (edge, -edge), (edge, edge)]
    views = np.round(np.asarray(angles, np.float64).reshape(-1, 2) / STEP_DEG).astype(np.int64)
    points = np.concatenate([views, np.array(corners, np.int64)])
    found = np.array([(count, count + 2, count + 1), (count + 1, count + 2, count + 3)])
    for index in range(count):
        # Triangles whose circumcircle holds the point make a hole, and its border is joined to it.
        inside = _circled(points, found, index)
        edges = found[inside][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        # The border of the hole: what only one of its triangles has.
        _, place, times = np.unique(
            np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True
        )
        border = edges[place[times == 1]]
        new = np.column_stack([border, np.full(len(border), index)])
        found = np.concatenate([found[~inside], new])
    found = np.sort(found, axis=1)
    return found[np.lexsort(found.T[::-1])]


def _circled(points: Indices, triangles: Indices, index: int) -> npt.NDArray[np.bool_]:
    """Triangles (T,3), counter-clockwise, whose circumcircle holds a point: (T,)."""
    # The determinant of rows (x, y, x^2 + y^2), each corner seen from the point: above 0 inside.
    away = points[triangles] - points[index]
    x, y, far = away[..., 0], away[..., 1], np.square(away).sum(axis=2)
    area = [x[:, i] * y[:, j] - x[:, j] * y[:, i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return far[:, 0] * area[0] + far[:, 1] * area[1] + far[:, 2] * area[2] > 0


def apart(places: Floats, distance: float) -> Indices:
    """The first of `places` (N,2), and each later one so far from all before it in x or y."""
    kept: list[int] = []
    for row, place in enumerate(places):
        if not kept or np.abs(places[kept] - place).max(axis=1).min() >= distance:
            kept.append(row)
    return np.array(kept, np.int64)
