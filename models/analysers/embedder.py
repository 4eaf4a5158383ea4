"""Identity embeddings of faces aligned to the ArcFace template (Deng et al. 2019)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.alignment import umeyama
from likeness.vision.templates import template
from models.analysers.sessions import Floats, onnx_session, planar

Image = npt.NDArray[np.uint8]
SIZE_PX = 112
TEMPLATE = template("arcface_112", SIZE_PX)


def aligned_crop(rgb: Image, landmarks_5: Floats, offset_px: tuple[int, int] = (0, 0)) -> Image:
    """The (112,112,3) crop that embedders expect, black outside the picture.

    Args:
        rgb: the frame, or a box of it.
        landmarks_5: (5,2), frame px.
        offset_px: frame px of the box's pixel (0,0).
    """
    affine = umeyama(landmarks_5 - np.asarray(offset_px, np.float32), TEMPLATE)
    return cv2.warpAffine(rgb, affine, (SIZE_PX, SIZE_PX))


class Embedder:
    """Any ONNX network with ArcFace's input, (B,3,112,112) as (x - 127.5) / 127.5.

    Args:
        path: ONNX file.
        threads: of the session; None: what the environment allows.
        bgr: the network was trained on BGR pictures.
    """

    def __init__(self, path: Path, threads: int | None = None, *, bgr: bool = False) -> None:
        self._session = onnx_session(path, threads)
        entry = self._session.get_inputs()[0]
        self._input = entry.name
        self._batch = entry.shape[0] if isinstance(entry.shape[0], int) else 0
        self._bgr = bgr
        self.dimension = int(self._session.get_outputs()[0].shape[-1])

    def embed(self, rgb: Image, landmarks_5: Floats) -> Floats:
        """Embeddings (N,D), not normalised, of the faces at landmarks_5 (N,5,2) in `rgb`."""
        crops = [aligned_crop(rgb, points) for points in landmarks_5]
        return self.embed_crops(np.stack(crops) if crops else np.zeros((0, 112, 112, 3), np.uint8))

    def embed_crops(self, crops: Image) -> Floats:
        """Embeddings (N,D), not normalised, of aligned crops (N,112,112,3) uint8 RGB."""
        if not len(crops):
            return np.zeros((0, self.dimension), np.float32)
        blob = planar(list(crops), 127.5, bgr=self._bgr)
        parts = [blob] if not self._batch else [blob[i : i + 1] for i in range(len(blob))]
        found = [self._session.run(None, {self._input: part})[0] for part in parts]
        return np.concatenate(found).reshape(len(crops), -1).astype(np.float32)
