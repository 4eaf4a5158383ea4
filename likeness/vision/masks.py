"""Face masks in crop space: hull of the mesh, met with the person, feathered."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.mesh import FACE_OVAL, FOREHEAD

Points = npt.NDArray[np.floating]
Mask = npt.NDArray[np.float32]

_FINER = 4
_BITS = 4


def hull_mask(
    landmarks_468: Points, size_px: int, mask_size_px: int, forehead: float = 0.0
) -> Mask:
    """Convex hull of the mesh as a mask (mask_size_px, mask_size_px) float32 in [0,1].

    Args:
        landmarks_468: (468,2 or 3) in px of a crop of side `size_px`.
        forehead: how far the top of the oval is moved up, as a share of the face's height from
            chin to forehead; the mesh ends below the hairline.
    """
    points = np.asarray(landmarks_468, np.float64)[:, :2]
    outline = np.concatenate([points, _raised(points, forehead)]) if forehead else points
    return _filled(cv2.convexHull(outline.astype(np.float32))[:, 0], size_px, mask_size_px)


def _filled(outline: Points, size_px: int, mask_size_px: int) -> Mask:
    """Inside of an outline (N,2), in px of a crop of side `size_px`, as shares of mask px.

    Drawn finer and averaged: OpenCV's own soft edge puts half a px on every side.
    """
    fine_px = mask_size_px * _FINER
    points = (np.asarray(outline) + 0.5) * (fine_px / size_px) - 0.5
    fine = np.zeros((fine_px, fine_px), np.uint8)
    fixed = np.round(points * (1 << _BITS)).astype(np.int32)
    cv2.fillPoly(fine, [fixed], 255, cv2.LINE_8, _BITS)
    mask = cv2.resize(fine, (mask_size_px, mask_size_px), interpolation=cv2.INTER_AREA)
    return mask.astype(np.float32) / 255.0


def _raised(points: npt.NDArray[np.float64], forehead: float) -> npt.NDArray[np.float64]:
    """Top of the oval moved along the axis from chin to forehead, most in its middle."""
    axis = points[10] - points[152]
    top = points[list(FOREHEAD)]
    lift = np.sin(np.linspace(0.0, np.pi, len(FOREHEAD)))[:, None]
    return top + lift * axis * forehead


def oval_mask(landmarks_468: Points, size_px: int, mask_size_px: int) -> Mask:
    """The mesh's oval as it runs, without the hull around it: (mask_size_px, mask_size_px)."""
    points = np.asarray(landmarks_468, np.float64)[list(FACE_OVAL), :2]
    return _filled(points, size_px, mask_size_px)


def resized(mask: Mask, size_px: int) -> Mask:
    """Mask brought to (size_px, size_px): averaged when it shrinks, linear when it grows."""
    if mask.shape == (size_px, size_px):
        return mask
    shrinks = size_px < mask.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(mask, (size_px, size_px), interpolation=method)


def meet(hull: Mask, person: Mask) -> Mask:
    """Where both are: `hull` (S,S) times `person` (any square), brought to the hull's size."""
    return hull * np.clip(resized(person, hull.shape[0]), 0.0, 1.0)


def feather(mask: Mask, width_px: float) -> Mask:
    """Mask whose rim falls from 1 to 0 over `width_px`, inwards: nothing outside becomes masked."""
    if width_px <= 0:
        return mask
    reach = max(1, round(width_px / 2))
    side = 2 * reach + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # Outside the crop counts as masked for the erosion, so that a face cut by it keeps its rim.
    inner = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1.0)
    soft = cv2.blur(inner, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.minimum(soft, mask)


def to_bytes(mask: Mask) -> bytes:
    """Mask as raw uint8, row by row, 255 = replace."""
    return np.round(np.clip(mask, 0.0, 1.0) * 255.0).astype(np.uint8).tobytes()


def from_bytes(content: bytes, mask_size_px: int) -> Mask:
    """Mask (mask_size_px, mask_size_px) float32 in [0,1] from `to_bytes`."""
    raw = np.frombuffer(content, np.uint8).reshape(mask_size_px, mask_size_px)
    return raw.astype(np.float32) / 255.0
