"""Face detection with any network that has SCRFD's nine outputs, at the picture's own shape."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.analysers.sessions import Floats, onnx_session, planar

Image = npt.NDArray[np.uint8]
STRIDES = (8, 16, 32)
ANCHORS = 2
GRID_PX = 32
SIDE_PX = 640
SCORE = 0.5
OVERLAP = 0.4


def input_shape(width_px: int, height_px: int, side_px: int = SIDE_PX) -> tuple[int, int, float]:
    """Width and height of the picture as the detector sees it, and px of it per frame px.

    The longer side becomes `side_px`, larger or smaller, as insightface's letterbox does: the
    network knows faces by their size, so that another scale gives other boxes.
    """
    if height_px > width_px:
        height = side_px
        width = int(height / (height_px / width_px))
    else:
        width = side_px
        height = int(width * (height_px / width_px))
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
        side_px: length to which the longer side of a picture is scaled.
    """

    def __init__(self, path: Path, threads: int | None = None, side_px: int = SIDE_PX) -> None:
        self._session = onnx_session(path, threads)
        self._input = self._session.get_inputs()[0].name
        self._batched = len(self._session.get_outputs()[0].shape) == 3
        self.side_px = side_px

    def shape(self, width_px: int, height_px: int) -> tuple[int, int, float]:
        """`input_shape` at this detector's side."""
        return input_shape(width_px, height_px, self.side_px)

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
        grid = (blob.shape[3], blob.shape[2])
        found = []
        for index in range(len(pictures)):
            if self._batched:
                outputs = [output[index] for output in runs[0]]
            else:
                outputs = runs[index]
            found.append(_decode(outputs, grid, scale, score))
        return found

    @staticmethod
    def _blob(pictures: list[Image]) -> Floats:
        """(B,3,H,W) as (x - 127.5) / 128, each side filled with black to a multiple of the grid."""
        height, width = pictures[0].shape[:2]
        right, bottom = -width % GRID_PX, -height % GRID_PX
        if right or bottom:
            pictures = [
                cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
                for picture in pictures
            ]
        return planar(pictures, 128.0)


def _decode(
    outputs: list[Floats], grid: tuple[int, int], scale: float, score: float
) -> tuple[Floats, Floats, Floats]:
    """Candidates above `score` out of nine outputs (N,1|4|10), suppressed and in frame px."""
    boxes, scores, points = [], [], []
    for level, stride in enumerate(STRIDES):
        values = outputs[level][:, 0]
        chosen = np.flatnonzero(values >= score)
        cell = chosen // ANCHORS
        columns = grid[0] // stride
        origin = np.stack([cell % columns, cell // columns], axis=1).astype(np.float32)
        distances = outputs[level + 3][chosen]
        offsets = outputs[level + 6][chosen].reshape(-1, 5, 2)
        low, high = origin - distances[:, :2], origin + distances[:, 2:]
        boxes.append(np.concatenate([low, high], axis=1) * stride)
        points.append((origin[:, None] + offsets) * stride)
        scores.append(values[chosen])
    bbox: Floats = (np.concatenate(boxes) / scale).astype(np.float32)
    confidence: Floats = np.concatenate(scores).astype(np.float32)
    landmarks_5: Floats = (np.concatenate(points) / scale).astype(np.float32)
    kept = suppress(bbox, confidence)
    return bbox[kept], confidence[kept], landmarks_5[kept]
