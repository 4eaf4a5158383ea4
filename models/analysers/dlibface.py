"""dlib's face recognition network (King 2017), a second choice of judge; needs `likeness[dlib]`.

A ResNet of 29 layers, 128 numbers per face, CC0. It was trained for Euclidean distances, and its
vectors share one half of the sphere: cosines of strangers are near 0.85, not near 0. Compare its
columns with each other, as with any judge, and never across.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import WeightsError
from likeness.vision.alignment import umeyama
from likeness.vision.templates import template

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
EXTRA = "likeness[dlib]"
CHIP_PX, PADDING = 150, 0.25
_EYES = np.array([[0.22733, 0.22140], [0.75281, 0.22123]])
"""Middles of the eyes in dlib's mean face, whose side is 1 (its `get_face_chip_details`)."""


def require_dlib() -> None:
    """Check that dlib can be imported.

    Raises:
        WeightsError: it is not installed.
    """
    if importlib.util.find_spec("dlib") is None:
        step = f"`pip install -e '.[dlib]'` ({EXTRA}), or set `judge: {{embedder: faceplugin}}`"
        raise WeightsError("judge.embedder dlib", "needs dlib, which is not installed", step)


def to_chip() -> npt.NDArray[np.float64]:
    """Affine (2,3), px of the embedder's crop (112) -> px of dlib's chip: eyes upon eyes.

    The chip reaches 8 % of its height below the crop; `DlibEmbedder` mirrors the edge there.
    """
    eyes = (_EYES + PADDING) / (1 + 2 * PADDING) * CHIP_PX
    return np.asarray(umeyama(template("arcface_112", 112)[:2], eyes), np.float64)


class DlibEmbedder:
    """Embeddings (N,128) of aligned crops, as `models.analysers.embedder.Embedder` gives them.

    Args:
        path: dlib_face_recognition_resnet_model_v1.dat.

    Raises:
        WeightsError: dlib is not installed, or the file is none of its own.
    """

    dimension = 128

    def __init__(self, path: Path) -> None:
        require_dlib()
        dlib: Any = importlib.import_module("dlib")
        try:
            self._network = dlib.face_recognition_model_v1(str(path))
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:120]
            raise WeightsError(path, f"cannot be loaded ({reason})", "run `dvc repro`") from None
        self._to_chip = to_chip()
        self._one_at_a_time = threading.Lock()

    def embed_crops(self, crops: Pixels) -> Floats:
        """Embeddings (N,128), not normalised, of aligned crops (N,112,112,3) uint8 RGB."""
        size, border = (CHIP_PX, CHIP_PX), cv2.BORDER_REFLECT
        chips = [
            cv2.warpAffine(c, self._to_chip, size, flags=cv2.INTER_CUBIC, borderMode=border)
            for c in crops
        ]
        with self._one_at_a_time:  # a network keeps what it computes inside itself
            found = [np.array(self._network.compute_face_descriptor(chip)) for chip in chips]
        return np.array(found, np.float32).reshape(len(crops), self.dimension)
