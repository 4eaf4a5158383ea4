"""Face detection with any network that insightface runs as SCRFD, at the picture's own shape.

insightface fills every picture up to a square; this takes the shape that a picture or a window has,
several at once where the network does, from several threads (`python -m benchmarks --only packs`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.analysers.interfaces import DetectorFacts
from models.analysers.sessions import Floats, onnx_session, planar

Image = npt.NDArray[np.uint8]
SCRFD = DetectorFacts()
SIDE_PX = 640
SCORE = 0.5
OVERLAP = 0.4


def input_shape(
    width_px: int, height_px: int, fits_px: tuple[int, int] = (SIDE_PX, SIDE_PX)
) -> tuple[int, int, float]:
    """Width and height of the picture as the detector sees it, and px of it per frame px.

    It becomes as large as fits, larger or smaller, as insightface's letterbox does: the network
    knows faces by their size, so that another scale gives other boxes.
    """
    ratio = height_px / width_px
    if ratio > fits_px[1] / fits_px[0]:
        height = fits_px[1]
        width = int(height / ratio)
    else:
        width = fits_px[0]
        height = int(width * ratio)
    return max(width, 1), max(height, 1), max(height, 1) / height_px


def suppress(bbox: Floats, score: Floats, overlap: float = OVERLAP) -> npt.NDArray[np.int64]:
    """Indices kept by greedy non-maximum suppression, best first; widths count both ends."""
    order = np.argsort(-score, kind="stable")
    area = (bbox[:, 2] - bbox[:, 0] + 1) * (bbox[:, 3] - bbox[:, 1] + 1)
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(bbox[best, :2], bbox[rest, :2])
        high = np.minimum(bbox[best, 2:], bbox[rest, 2:])
        common = np.prod(np.maximum(high - low + 1, 0), axis=1)
        order = rest[common / (area[best] + area[rest] - common) <= overlap]
    return np.array(kept, np.int64)


class Detector:
    """Finds faces: boxes, scores and five points.

    Args:
        path: ONNX file.
        threads: of the session; None: what the environment allows.
        facts: what the network expects and gives.

    Attributes:
        grid_px: sides of what the network sees are multiples of this.
    """

    def __init__(
        self, path: Path, threads: int | None = None, facts: DetectorFacts = SCRFD
    ) -> None:
        self._session = onnx_session(path, threads)
        entry = self._session.get_inputs()[0]
        self._input, self._facts = entry.name, facts
        self._layered = len(self._session.get_outputs()[0].shape) == 3
        self._batched = self._layered and not isinstance(entry.shape[0], int)
        self._fits_px = facts.fixed_px or (SIDE_PX, SIDE_PX)
        self.grid_px = max(facts.strides)

    def shape(self, width_px: int, height_px: int) -> tuple[int, int, float]:
        """`input_shape` for this detector."""
        return input_shape(width_px, height_px, self._fits_px)

    def detect(self, rgb: Image, score: float = SCORE) -> tuple[Floats, Floats, Floats]:
        """Faces of a picture (H,W,3) uint8 RGB: bbox (N,4), det_score (N,), landmarks_5 (N,5,2).

        All float32, px of the picture, pixel centres at integers; best score first.
        """
        width, height, scale = self.shape(rgb.shape[1], rgb.shape[0])
        small = rgb
        if (width, height) != (rgb.shape[1], rgb.shape[0]):
            small = cv2.resize(rgb, (width, height))
        return self.detect_scaled([small], scale, score)[0]

    def detect_scaled(
        self, pictures: list[Image], scale: float, score: float = SCORE
    ) -> list[tuple[Floats, Floats, Floats]]:
        """As `detect`, for pictures of one size that already have the detector's (`shape`)."""
        blob = self._blob(pictures)
        if self._batched or len(pictures) == 1:
            runs = [self._session.run(None, {self._input: blob})]
        else:
            runs = [self._session.run(None, {self._input: one[None]}) for one in blob]
        found = []
        for index in range(len(pictures)):
            place = index if self._batched else 0
            outputs = runs[0 if self._batched else index]
            if self._layered:
                outputs = [output[place] for output in outputs]
            found.append(self._decode(outputs, blob.shape[3], scale, score))
        return found

    def _blob(self, pictures: list[Image]) -> Any:
        """(B,3,H,W), normalised, each side filled with black to what the network takes."""
        height, width = pictures[0].shape[:2]
        right, bottom = -width % self.grid_px, -height % self.grid_px
        if self._facts.fixed_px is not None:
            right, bottom = self._fits_px[0] - width, self._fits_px[1] - height
        if right or bottom:
            pictures = [
                cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
                for picture in pictures
            ]
        blob = planar(pictures, self._facts.std, middle=self._facts.mean)
        return blob.astype(np.uint8) if self._facts.whole_numbers else blob

    def _decode(
        self, outputs: list[Floats], width_px: int, scale: float, score: float
    ) -> tuple[Floats, Floats, Floats]:
        """Candidates above `score` (N,1|4|10 per level), suppressed and in frame px."""
        boxes, scores, points = [], [], []
        levels = len(self._facts.strides)
        for level, stride in enumerate(self._facts.strides):
            # One level: scores (N,1), distances of the box's sides (N,4) and points (N,10), in
            # strides from the cell they belong to; `anchors` rows stand for each cell.
            values = outputs[level][:, 0]
            chosen = np.flatnonzero(values >= score)
            cell = chosen // self._facts.anchors
            columns = width_px // stride
            origin = np.stack([cell % columns, cell // columns], axis=1).astype(np.float32)
            distances = outputs[level + levels][chosen]
            offsets = outputs[level + 2 * levels][chosen].reshape(-1, 5, 2)
            low, high = origin - distances[:, :2], origin + distances[:, 2:]
            boxes.append(np.concatenate([low, high], axis=1) * stride)
            points.append((origin[:, None] + offsets) * stride)
            scores.append(values[chosen])
        bbox: Floats = (np.concatenate(boxes) / scale).astype(np.float32)
        confidence: Floats = np.concatenate(scores).astype(np.float32)
        landmarks_5: Floats = (np.concatenate(points) / scale).astype(np.float32)
        kept = suppress(bbox, confidence)
        return bbox[kept], confidence[kept], landmarks_5[kept]
