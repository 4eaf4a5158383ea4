"""Crops with nothing before the face, and where their own hair begins.

Their hair is found by colour alone: skin is one colour with a plane of light over it, in clips
that are chosen because this holds. What cannot be told is left out of the lesson.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.masks import hull_mask
from likeness.vision.mesh import (
    IMAGE_LEFT_BROW,
    IMAGE_LEFT_EYE,
    IMAGE_RIGHT_BROW,
    IMAGE_RIGHT_EYE,
    LIPS_OUTER,
    NOSE_TIP,
)
from likeness.vision.occluders.canvas import Floats, Points

FEATURES = (IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE, IMAGE_LEFT_BROW, IMAGE_RIGHT_BROW, LIPS_OUTER)
FOREHEAD = 0.2
"""How far above the mesh a forehead is looked for, in face heights."""
SURE, UNLIKE = 9.0, 25.0
"""Squared distances from the colour of skin: below is skin, above is none."""
JAW = 0.3
"""Below this, in face heights under the nose, darker edges are the jaw's shade."""
HAIRS = 12
"""Colours taken from a crop's hair."""


class Bare(NamedTuple):
    """A crop whose face is free.

    Attributes:
        rgb: (S,S,3) uint8.
        points: (468,2) px.
        hair: (S,S) float32 in [0,1], 1 where hair or background begins, near the face.
        known: (S,S) float32, 1 where `hair` can be trusted.
        skin: (3,) usual colour of the cheeks.
        hairs: (HAIRS,3) colours of the hair.
    """

    rgb: npt.NDArray[np.uint8]
    points: Points
    hair: Floats
    known: Floats
    skin: Floats
    hairs: Floats


def _features(points: Points, size_px: int, wider_px: int) -> Floats:
    """1 on eyes, brows and lips, and so many px around them."""
    drawn = np.zeros((size_px, size_px), np.uint8)
    for outline in FEATURES:
        around = cv2.convexHull(points[list(outline)].astype(np.float32))
        cv2.fillConvexPoly(drawn, np.round(around).astype(np.int32), 1)
    side = 2 * wider_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(drawn, kernel).astype(np.float32)


def _plane(values: Floats, core: npt.NDArray[np.bool_]) -> Floats:
    """Least-squares plane through the values on the core, everywhere."""
    rows, columns = np.mgrid[: values.shape[0], : values.shape[1]].astype(np.float64)
    terms = np.stack([np.ones_like(rows), rows, columns], -1)
    found = np.linalg.lstsq(terms[core], values[core].astype(np.float64), rcond=None)[0]
    return np.asarray(terms @ found, np.float32)


def _unlike(rgb: npt.NDArray[np.uint8], core: npt.NDArray[np.bool_]) -> Floats:
    """Squared distance (S,S) of each colour from skin's, lightness set against its plane."""
    smooth = cv2.GaussianBlur(rgb.astype(np.float32) / 255, (0, 0), 1.0)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2Lab)
    lab[..., 0] -= _plane(lab[..., 0], core)
    skin = lab[core].astype(np.float64)
    mean, spread = np.median(skin, axis=0), np.cov(skin.T) + np.diag([4.0, 1.0, 1.0])
    away = lab.reshape(-1, 3) - mean
    found = np.einsum("nc,cd,nd->n", away, np.linalg.inv(spread), away)
    return np.asarray(found.reshape(rgb.shape[:2]), np.float32)


def _joined(skin: npt.NDArray[np.bool_], points: Points) -> npt.NDArray[np.bool_]:
    """What of the skin belongs to this face: joined to the tip of its nose."""
    _, labels = cv2.connectedComponents(skin.astype(np.uint8), connectivity=4)
    column, row = np.clip(np.round(points[NOSE_TIP]), 0, len(skin) - 1).astype(int)
    return np.asarray(labels == labels[row, column])


def bare(rgb: npt.NDArray[np.uint8], points: Points) -> Bare:
    """A crop (S,S,3) and its mesh (468,2) px, with its own hair marked."""
    size = rgb.shape[0]
    height = float(np.linalg.norm(points[10] - points[152]))
    hull, wide = (hull_mask(points, size, size, lift) for lift in (0.0, FOREHEAD))
    depth = cv2.distanceTransform((hull > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / height
    features = _features(points, size, round(0.04 * height))
    core = (depth > 0.12) & (features == 0)
    distance = _unlike(rgb, core)
    # Shades of jaw and nose are skin: below the eyes hair comes in from the rim alone.
    down = points[152] - points[10]
    rows, columns = np.mgrid[:size, :size]
    level = (np.stack([columns, rows], -1) - points[NOSE_TIP]) @ (down / (down @ down))
    deep = np.where(level > -0.1, 0.05, 0.14)
    inside = (depth > deep) | ((features > 0) & (depth > 0.05))
    hair = np.clip((distance - SURE) / (UNLIKE - SURE), 0, 1).astype(np.float32)
    hair[inside] = 0
    sure = inside | ((hair == 0) & _joined(hair < 0.5, points)) | ((hair == 1) & (level < JAW))
    # Of what lies beside the mesh only the forehead says anything: neck and ears are skin, too.
    known = (sure & (wide > 0.5)).astype(np.float32)
    hairs = rgb[(hair == 1) & (wide > 0.5) & (level < -0.3)].astype(np.float32)
    if len(hairs) < HAIRS:
        hairs = np.full((HAIRS, 3), 40, np.float32)
    order = np.argsort(hairs.sum(axis=1), kind="stable")
    picked = hairs[order[np.linspace(0, len(order) - 1, HAIRS).astype(int)]]
    return Bare(rgb, points, hair, known, np.median(rgb[core], axis=0).astype(np.float32), picked)
