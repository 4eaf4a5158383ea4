"""A few clean crops of an identity, spread over the poses it shows: what `swap` gets as source."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.base import as_numpy
from models.batch import Batch
from models.training.crops import NUMBERS, CropSet

COLUMNS = ("pose_deg", "mesh_error", "sharpness")
CLEAN_SHARE = 0.75
"""Share of the crops that counts as clean, by sharpness and by the mesh's error each."""

Numbers = npt.NDArray[np.float64]


def choose_views(
    pose_deg: Numbers, mesh_error: Numbers, sharpness: Numbers, count: int
) -> list[int]:
    """Rows of at most `count` clean crops: the most frontal one, then always the farthest from all.

    Args:
        pose_deg: (N,3) yaw, pitch, roll.
        mesh_error: (N,) in eye distances.
        sharpness: (N,) variance of the Laplacian.
        count: crops wanted.
    """
    clean = np.flatnonzero(
        (mesh_error <= np.quantile(mesh_error, CLEAN_SHARE))
        & (sharpness >= np.quantile(sharpness, 1 - CLEAN_SHARE))
    )
    clean = clean if len(clean) else np.arange(len(pose_deg))
    plane = pose_deg[clean, :2]
    chosen = [int(np.linalg.norm(plane, axis=1).argmin())]
    apart = np.linalg.norm(plane - plane[chosen[0]], axis=1)
    while len(chosen) < min(count, len(clean)):
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, np.linalg.norm(plane - plane[chosen[-1]], axis=1))
        apart[chosen] = -1
    return [int(clean[index]) for index in chosen]


def views(crops: CropSet, count: int) -> Batch:
    """At most `count` clean crops of one identity, the most frontal one first."""
    rows = list(crops.tables(4096, COLUMNS))
    pose, error, sharp = (
        np.concatenate([as_numpy(r[name], NUMBERS[name]) for r in rows]).astype(np.float64)
        for name in COLUMNS
    )
    return crops.pick(choose_views(pose, error, sharp, count))
