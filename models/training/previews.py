"""Previews: strips of source | target | swap, with the same faces each time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.swappers.base import Batch, Swapper, as_pixels
from models.training.crops import CropSet, resize

STRIPS = 8
COLUMNS = 2
FACE_PX = 128
GAP_PX = 8


@dataclass(frozen=True)
class Faces:
    """The faces that previews show, fixed for a run."""

    source: Batch
    target: Batch


def choose_faces(source: CropSet, target: CropSet) -> Faces:
    """Faces spread evenly over both sets."""
    return Faces(source.some(STRIPS), target.some(STRIPS))


def _to(batch: Batch, device: torch.device) -> Batch:
    return {name: column.to(device) for name, column in batch.items()}


@torch.no_grad()
def draw_preview(swapper: Swapper, faces: Faces, device: torch.device) -> npt.NDArray[np.uint8]:
    """RGB picture of the strips; the swapper is left in the mode it was in."""
    training = swapper.training
    swapper.eval()
    swapped, _ = swapper.swap(_to(faces.target, device), _to(faces.source, device))
    swapper.train(training)
    columns = [faces.source["crop"], faces.target["crop"], swapped.float().cpu()]
    count = min(len(column) for column in columns)
    pixels = [as_pixels(resize(column[:count], FACE_PX)) for column in columns]
    return _lay_out(torch.cat(pixels, dim=2))


def _lay_out(strips: Tensor) -> npt.NDArray[np.uint8]:
    """uint8 (N,H,W,3) -> one picture with `COLUMNS` strips side by side."""
    count, height, width = strips.shape[:3]
    rows = -(-count // COLUMNS)
    shape = (rows * (height + GAP_PX) - GAP_PX, COLUMNS * (width + GAP_PX) - GAP_PX, 3)
    picture = np.full(shape, 255, np.uint8)
    for index, strip in enumerate(strips.numpy()):
        top = index // COLUMNS * (height + GAP_PX)
        left = index % COLUMNS * (width + GAP_PX)
        picture[top : top + height, left : left + width] = strip
    return picture
