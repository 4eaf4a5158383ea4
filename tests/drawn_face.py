"""A face drawn by code, with a mesh on it: for tests that need no footage."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from models.layers import mesh_topology

SIZE_PX = 160
SKIN, HAIR = (205, 160, 135), (45, 32, 26)


@cache
def _canonical() -> npt.NDArray[np.float64]:
    return np.asarray(mesh_topology.canonical_vertices().numpy(), np.float64)


def drawn_crop(size_px: int = SIZE_PX) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """A crop (S,S,3) with skin, hair around it, eyes and lips; and its mesh (468,2) px."""
    flat = _canonical()[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = 0.55 * size_px / float((high - low)[1])
    points = (flat - (low + high) / 2) * scale + (size_px / 2, 0.55 * size_px)
    rgb = np.full((size_px, size_px, 3), 110, np.uint8)
    centre, height = points.mean(axis=0), float(np.ptp(points[:, 1]))
    top = (int(centre[0]), int(centre[1] - 0.1 * height))
    cv2.ellipse(rgb, top, (int(0.55 * height), int(0.75 * height)), 0, 0, 360, HAIR, -1)
    hull = cv2.convexHull(np.round(points).astype(np.int32))
    cv2.fillConvexPoly(rgb, hull, SKIN)
    for eye in (points[[33, 133, 159, 145]], points[[362, 263, 386, 374]]):
        cv2.ellipse(
            rgb, np.round(eye.mean(axis=0)).astype(int), (7, 3), 0, 0, 360, (60, 50, 50), -1
        )
    cv2.ellipse(rgb, np.round(points[[13, 14]].mean(axis=0)).astype(int), (12, 4), 0, 0, 360,
                (160, 70, 75), -1)  # fmt: skip  # one ellipse
    shade = np.random.default_rng(0).normal(0, 3, rgb.shape)
    return np.clip(rgb + shade, 0, 255).astype(np.uint8), points
