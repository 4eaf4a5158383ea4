"""Person segmentation and iris landmarks, both small TFLite networks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.analysers.sessions import Floats, LiteNetwork

Image = npt.NDArray[np.uint8]


def _prepared(crop: Image, size_px: int) -> Floats:
    if crop.shape[0] != size_px:
        smaller = crop.shape[0] > size_px
        method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        crop = cv2.resize(crop, (size_px, size_px), interpolation=method)
    return np.multiply(crop, np.float32(1 / 255), dtype=np.float32)


class PersonSegmenter:
    """Which pixels show a person (MediaPipe selfie segmentation)."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._network = LiteNetwork(path, threads)
        self.size_px = self._network.size_px

    def run(self, crops: Image) -> Floats:
        """Probability (N,256,256) float32 for crops (N,S,S,3) uint8 RGB."""
        shape = (self.size_px, self.size_px)
        found = [self._network.run(_prepared(c, self.size_px))[0].reshape(shape) for c in crops]
        return np.array(found, np.float32).reshape(-1, *shape)


class IrisLandmarks:
    """Eye contour and iris of one eye (Ablavatski et al. 2020, arXiv 2006.11341).

    It knows image-left eyes as they are; mirror the other one before and its points after.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._network = LiteNetwork(path, threads)
        self.size_px = self._network.size_px

    def run(self, crops: Image) -> tuple[Floats, Floats]:
        """Contours (N,71,3) and irises (N,5,3) in px of square eye crops (N,S,S,3) uint8 RGB."""
        contours, irises = [], []
        for crop in crops:
            scale = crop.shape[0] / self.size_px
            outputs = sorted(self._network.run(_prepared(crop, self.size_px)), key=len)
            irises.append(outputs[0].reshape(5, 3) * scale)
            contours.append(outputs[1].reshape(71, 3) * scale)
        return (
            np.array(contours, np.float32).reshape(-1, 71, 3),
            np.array(irises, np.float32).reshape(-1, 5, 3),
        )
