"""Choosing crops for a data set: thinning in pose and expression, balance over pose."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


def thin(
    pose_deg: Floats, expression: Floats, sharpness: Floats, reach_deg: float, reach: float
) -> Flags:
    """Which of N crops to keep so that no two are nearly the same: (N,).

    Two crops are nearly the same if yaw and pitch differ by less than `reach_deg` and the root
    mean square distance of their expressions is less than `reach`. Of such crops the sharpest
    stays; the first of equally sharp ones. Roll does not count: the crop is upright.

    Args:
        pose_deg: (N,3) yaw, pitch, roll.
        expression: (N,V,3) from `mesh.expression`, eye distances.
        sharpness: (N,).
        reach_deg: degrees; 0 keeps all.
        reach: eye distances; 0 keeps all.
    """
    count = len(pose_deg)
    keep = np.zeros(count, np.bool_)
    if reach_deg <= 0 or reach <= 0:
        return ~keep
    vertices = expression.shape[1]
    vectors = np.asarray(expression, np.float32).reshape(count, 3 * vertices)
    vectors = vectors / np.float32(vertices**0.5)
    cells = np.floor(np.asarray(pose_deg)[:, :2] / reach_deg).astype(int)
    kept: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in np.lexsort((np.arange(count), -np.asarray(sharpness, np.float64))):
        yaw, pitch = cells[row]
        near = [
            i for a in (-1, 0, 1) for b in (-1, 0, 1) for i in kept.get((yaw + a, pitch + b), ())
        ]
        if near:
            close = np.abs(pose_deg[near, :2] - pose_deg[row, :2]).max(axis=1) < reach_deg
            distance = np.linalg.norm(vectors[near] - vectors[row], axis=1)
            if (close & (distance < reach)).any():
                continue
        keep[row] = True
        kept[yaw, pitch].append(int(row))
    return keep


def pose_bins(pose_deg: Floats, bin_deg: float) -> npt.NDArray[np.int64]:
    """Cell (N,2) of yaw and pitch; cell 0 is centred on 0 degrees."""
    return np.floor(np.asarray(pose_deg)[:, :2] / bin_deg + 0.5).astype(np.int64)


def balance_weights(
    pose_deg: Floats, bin_deg: float, balance: float, max_ratio: float
) -> npt.NDArray[np.float32]:
    """Weight (N,) of each crop, mean 1, that evens out the histogram of yaw and pitch.

    Args:
        bin_deg: width of a cell of the histogram.
        balance: 0 draws as filmed, 1 draws every cell equally often.
        max_ratio: no crop weighs more than this many times the lightest one, so that a handful of
            rare crops is not shown over and over.
    """
    if not len(pose_deg):
        return np.zeros(0, np.float32)
    _, cell, counts = np.unique(
        pose_bins(pose_deg, bin_deg), axis=0, return_inverse=True, return_counts=True
    )
    weight = counts[cell.reshape(-1)].astype(np.float64) ** -balance
    weight = np.minimum(weight, weight.min() * max_ratio)
    return (weight / weight.mean()).astype(np.float32)


def pose_histogram(pose_deg: Floats, bin_deg: float) -> dict[str, dict[str, int]]:
    """Crops per cell: {yaw in degrees: {pitch in degrees: count}}, centres of cells, in order."""
    cells, counts = np.unique(pose_bins(pose_deg, bin_deg), axis=0, return_counts=True)
    table: dict[str, dict[str, int]] = {}
    for (yaw, pitch), count in zip(cells, counts, strict=True):
        table.setdefault(f"{yaw * bin_deg:+g}", {})[f"{pitch * bin_deg:+g}"] = int(count)
    return table
