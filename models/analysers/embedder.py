"""Identity embeddings of faces aligned to the ArcFace template (Deng et al. 2019)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.alignment import umeyama
from likeness.vision.templates import template
from models.analysers.interfaces import EmbedderFacts
from models.analysers.sessions import Floats, onnx_session, planar

Image = npt.NDArray[np.uint8]
ARCFACE = EmbedderFacts()
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


def face_input(crops: Image, facts: EmbedderFacts) -> Any:
    """Network input (N,3,S,S) from aligned crops (N,S,S,3) uint8 RGB, scaled to its size."""
    size = facts.size_px
    if crops.shape[1] != size:
        crops = np.stack([cv2.resize(crop, (size, size)) for crop in crops])
    blob = planar(list(crops), facts.std, middle=facts.mean, bgr=facts.bgr)
    return blob.astype(np.uint8) if facts.whole_numbers else blob


class Embedder:
    """Any network that insightface runs as ArcFace.

    Args:
        path: ONNX file.
        threads: of the session; None: what the environment allows.
        facts: what the network expects and gives.

    Attributes:
        dimension: numbers per face.
    """

    def __init__(
        self, path: Path, threads: int | None = None, facts: EmbedderFacts = ARCFACE
    ) -> None:
        self._session = onnx_session(path, threads)
        entry = self._session.get_inputs()[0]
        self._input, self._facts = entry.name, facts
        self._alone = isinstance(entry.shape[0], int)
        self.dimension = facts.dimension or int(self._session.get_outputs()[0].shape[-1])

    def embed(self, rgb: Image, landmarks_5: Floats) -> Floats:
        """Embeddings (N,D), not normalised, of the faces at landmarks_5 (N,5,2) in `rgb`."""
        crops = [aligned_crop(rgb, points) for points in landmarks_5]
        return self.embed_crops(np.stack(crops) if crops else np.zeros((0, 112, 112, 3), np.uint8))

    def embed_crops(self, crops: Image) -> Floats:
        """Embeddings (N,D), not normalised, of aligned crops (N,112,112,3) uint8 RGB."""
        if not len(crops):
            return np.zeros((0, self.dimension), np.float32)
        blob = face_input(crops, self._facts)
        parts = [blob] if not self._alone else [blob[i : i + 1] for i in range(len(blob))]
        found = [self._session.run(None, {self._input: part})[0] for part in parts]
        return np.concatenate(found).reshape(len(crops), -1).astype(np.float32)
