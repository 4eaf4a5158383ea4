"""Previews: strips of source | target | swap, with the same faces each time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.swappers.base import Batch, Swapper, as_pixels
from models.training.crops import CropSet, resize
from models.training.gallery import views
from models.training.people import People

STRIPS = 8
COLUMNS = 2
FACE_PX = 128
GAP_PX = 8


@dataclass(frozen=True)
class Faces:
    """The faces that previews show, fixed for a run.

    Attributes:
        sources: crops of the source of each strip, or of all strips if there is but one entry.
        target: one crop per strip.
    """

    sources: tuple[Batch, ...]
    target: Batch


def choose_faces(source: People, target: People, source_images: int = 0) -> Faces:
    """Faces spread evenly over both sides.

    Families that are given crops of the source at run time see them as in `convert`.
    """
    if not source_images:
        return Faces((source.some(STRIPS),), target.some(STRIPS))
    pairs = couples(source.sets, target.sets, STRIPS)
    known: dict[str, Batch] = {}
    for giver, _, _ in pairs:
        if giver.identity not in known:
            known[giver.identity] = views(giver, source_images)
    shown = [taker.pick([int(share * len(taker))]) for _, taker, share in pairs]
    return Faces(
        tuple(known[giver.identity] for giver, _, _ in pairs),
        {name: torch.cat([crop[name] for crop in shown]) for name in shown[0]},
    )


def couples(
    givers: tuple[CropSet, ...], takers: tuple[CropSet, ...], count: int
) -> list[tuple[CropSet, CropSet, float]]:
    """Source, target and place in the target's crops (0-1) of `count` strips, all in turn."""
    found = []
    for number in range(count):
        taker = takers[number % len(takers)]
        others = [giver for giver in givers if giver.identity != taker.identity] or list(givers)
        found.append((others[number % len(others)], taker, (number + 0.5) / count))
    return found


def _to(batch: Batch, device: torch.device) -> Batch:
    return {name: column.to(device) for name, column in batch.items()}


def _row(batch: Batch, index: int) -> Batch:
    return {name: column[index : index + 1] for name, column in batch.items()}


@torch.no_grad()
def draw_preview(swapper: Swapper, faces: Faces, device: torch.device) -> npt.NDArray[np.uint8]:
    """RGB picture of the strips; the swapper is left in the mode it was in."""
    training = swapper.training
    swapper.eval()
    target = _to(faces.target, device)
    if len(faces.sources) == 1:
        swapped, _ = swapper.swap(target, _to(faces.sources[0], device))
        source = faces.sources[0]["crop"]
    else:
        rows = [
            swapper.swap(_row(target, index), _to(given, device))[0]
            for index, given in enumerate(faces.sources)
        ]
        swapped = torch.cat(rows)
        source = torch.cat([given["crop"][:1] for given in faces.sources])
    swapper.train(training)
    columns = [source, faces.target["crop"], swapped.float().cpu()]
    count = min(len(column) for column in columns)
    pixels = [as_pixels(resize(column[:count], FACE_PX)) for column in columns]
    return _lay_out(torch.cat(pixels, dim=2))


@torch.no_grad()
def draw_pictures(
    swapper: Swapper, faces: Faces, device: torch.device
) -> dict[str, npt.NDArray[np.uint8]]:
    """RGB pictures that the family itself draws, by name, of the first source and all targets."""
    training = swapper.training
    swapper.eval()
    found = swapper.pictures(_to(faces.target, device), _to(faces.sources[0], device))
    swapper.train(training)
    return {name: as_pixels(picture[None].cpu())[0].numpy() for name, picture in found.items()}


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
