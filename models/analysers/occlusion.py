"""Says of crops what stands before the face, with the shipped network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.layers import occlusion_weights
from models.layers.occlusion_view import covered


class Occlusions:
    """Says of crops what covers the face. One thread may use it at a time or many."""

    def __init__(self, folder: Path = occlusion_weights.FOLDER) -> None:
        self._network = occlusion_weights.shipped(folder)

    @torch.no_grad()
    def run(
        self, crops: npt.NDArray[np.uint8], landmarks: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """How far each px is covered: (N,S,S) float32 in [0,1].

        Args:
            crops: (N,S,S,3) uint8 RGB.
            landmarks: (N,468,2 or 3) px of the crops.
        """
        pictures = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2)
        points = torch.from_numpy(np.asarray(landmarks, np.float32))
        found = covered(self._network, pictures.float() / 127.5 - 1, points)
        return np.asarray(found[:, 0].numpy(), np.float32)
