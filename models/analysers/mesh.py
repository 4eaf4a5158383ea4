"""The face mesh (Kartynnik et al. 2019, arXiv 1907.06724): 468 points with depth per face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.alignment import compose
from models.analysers.sessions import Floats, LiteNetwork

Image = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]
POINTS = 468
ENLARGE = 1.5
"""Side of the network's square region per longer side of the face's box."""
# Outer corners of the image-left and image-right eye, in the mesh's numbering.
EYE_CORNERS = (33, 263)


def box_region(bbox: Floats, landmarks_5: Floats, size_px: int) -> Affine:
    """Affine (2,3), frame px -> px of the network's crop, turned so that the eyes lie level."""
    right, left = landmarks_5[1], landmarks_5[0]
    angle = float(np.arctan2(right[1] - left[1], right[0] - left[0]))
    centre = (np.asarray(bbox[:2], np.float64) + bbox[2:]) / 2
    side = float(max(bbox[2] - bbox[0], bbox[3] - bbox[1])) * ENLARGE
    return square_region(centre, side, angle, size_px)


def mesh_region(landmarks_468: Floats, size_px: int) -> Affine:
    """The same from the mesh of the frame before: its extent, its eyes."""
    left, right = landmarks_468[EYE_CORNERS[0], :2], landmarks_468[EYE_CORNERS[1], :2]
    angle = float(np.arctan2(right[1] - left[1], right[0] - left[0]))
    low, high = landmarks_468[:, :2].min(axis=0), landmarks_468[:, :2].max(axis=0)
    side = float((high - low).max()) * ENLARGE
    return square_region((low + high) / 2.0, side, angle, size_px)


def square_region(
    centre: npt.NDArray[np.floating], side: float, angle: float, size_px: int
) -> Affine:
    """Affine that maps a turned square of the frame onto a crop of `size_px`."""
    scale = size_px / max(side, 1.0)
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[cosine, sine], [-sine, cosine]])
    middle = (size_px - 1) / 2.0
    return np.column_stack([linear, middle - linear @ np.asarray(centre, np.float64)])


class FaceMesh:
    """Fits the mesh to faces; one TFLite interpreter of one thread."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._network = LiteNetwork(path, threads)
        self.size_px = self._network.size_px

    def run(
        self, rgb: Image, landmarks_5: Floats, bbox: Floats, drawn: Affine | None = None
    ) -> tuple[Floats, Floats]:
        """landmarks_468 (N,468,3) in square px, depth to the same scale, and score (N,) 0-1.

        Args:
            rgb: picture (H,W,3) uint8 RGB.
            landmarks_5: (N,5,2), square px.
            bbox: (N,4), square px.
            drawn: (2,3), px of `rgb` -> square px; None: they are square.
        """
        count = len(bbox)
        landmarks, scores = np.zeros((count, POINTS, 3), np.float32), np.zeros(count, np.float32)
        for index in range(count):
            affine = box_region(bbox[index], landmarks_5[index], self.size_px)
            landmarks[index], scores[index] = self.run_region(rgb, affine, drawn)
        return landmarks, scores

    def run_region(
        self, rgb: Image, affine: Affine, drawn: Affine | None = None
    ) -> tuple[Floats, float]:
        """Mesh (468,3) in square px and score of the face inside one region, `affine`, of them."""
        size = (self.size_px, self.size_px)
        placed = affine if drawn is None else compose(affine, drawn)
        crop = cv2.warpAffine(rgb, placed, size, borderMode=cv2.BORDER_REPLICATE)
        points, score = self.run_crop(crop)
        inverse = cv2.invertAffineTransform(affine)
        scale = float(np.hypot(inverse[0, 0], inverse[1, 0]))
        mesh = np.empty((POINTS, 3), np.float32)
        mesh[:, :2] = points[:, :2] @ inverse[:, :2].T + inverse[:, 2]
        mesh[:, 2] = points[:, 2] * scale
        return mesh, score

    def run_crop(self, crop: Image) -> tuple[Floats, float]:
        """Mesh (468,3) in crop px and score of one upright square crop (S,S,3) uint8 RGB."""
        side = crop.shape[0]
        if side != self.size_px:
            crop = cv2.resize(crop, (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)
        outputs = self._network.run(np.multiply(crop, np.float32(1 / 255), dtype=np.float32))
        points, logit = outputs[0], outputs[1]
        if points.size != POINTS * 3:
            points, logit = logit, points
        mesh = points.reshape(POINTS, 3) * np.float32(side / self.size_px)
        return mesh, float(1 / (1 + np.exp(-logit[0])))

    def run_crops(self, crops: Image) -> tuple[Floats, Floats]:
        """`run_crop` over (N,S,S,3): (N,468,3) in crop px and (N,)."""
        found = [self.run_crop(crop) for crop in crops]
        meshes = np.array([mesh for mesh, _ in found], np.float32).reshape(-1, POINTS, 3)
        return meshes, np.array([score for _, score in found], np.float32)
