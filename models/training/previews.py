"""Previews: strips of the same faces each time, by which a person sees how far a training is.

A strip shows source | target | swap | mask of the swap (white: replaced), and then, where the
family can do that, the way back: the target's face on the source. Swaps stand as the networks
draw them, before the mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.batch import Batch, as_pixels
from models.swappers.abilities import ShowsMore, SwapsBack
from models.swappers.base import Swapper
from models.training.crops import CropSet, resize
from models.training.gallery import views
from models.training.identities import Identities

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
        givers: crops of the person in `target`, of each strip, for the way back; none where the
            family is given no crops at run time.
    """

    sources: tuple[Batch, ...]
    target: Batch
    givers: tuple[Batch, ...] = ()


def choose_faces(source: Identities, target: Identities, source_images: int = 0) -> Faces:
    """Faces spread evenly over both sides.

    Families that are given crops of the source at run time see them as in `convert`.
    """
    if not source_images:
        return Faces((source.some(STRIPS),), target.some(STRIPS))
    pairs = pairing(source.sets, target.sets, STRIPS)
    known: dict[str, Batch] = {}
    for person in (person for giver, taker, _ in pairs for person in (giver, taker)):
        if person.identity not in known:
            known[person.identity] = views(person, source_images)
    shown = [taker.pick([int(share * len(taker))]) for _, taker, share in pairs]
    return Faces(
        tuple(known[giver.identity] for giver, _, _ in pairs),
        {name: torch.cat([crop[name] for crop in shown]) for name in shown[0]},
        tuple(known[taker.identity] for _, taker, _ in pairs),
    )


def pairing(
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


Swap = tuple[Tensor, Tensor]


def _one_by_one(swapper: Swapper, target: Batch, sources: tuple[Batch, ...]) -> Swap:
    """Each crop of `target` with a source of its own."""
    found = [swapper.swap(_row(target, i), given) for i, given in enumerate(sources)]
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


def _both_ways(swapper: Swapper, faces: Faces, device: torch.device) -> list[Tensor]:
    """Columns of the strips, (N,3,S,S) each."""
    target, sources = _to(faces.target, device), tuple(_to(s, device) for s in faces.sources)
    back: Swap | None
    if len(sources) == 1:
        shown = sources[0]
        there = swapper.swap(target, shown)
        back = swapper.swap_back(shown) if isinstance(swapper, SwapsBack) else None
    else:
        # A view of each source stands for it; all that they hold has one row per crop.
        shown = {name: torch.cat([s[name][:1] for s in sources]) for name in sources[0]}
        there = _one_by_one(swapper, target, sources)
        back = _one_by_one(swapper, shown, tuple(_to(g, device) for g in faces.givers))
    mask = there[1].float().expand(-1, 3, -1, -1) * 2 - 1
    columns = [shown["crop"], target["crop"], there[0], mask]
    return columns if back is None else [*columns, back[0]]


@torch.no_grad()
def draw_preview(swapper: Swapper, faces: Faces, device: torch.device) -> npt.NDArray[np.uint8]:
    """RGB picture of the strips; the swapper is left in the mode it was in."""
    training = swapper.training
    swapper.eval()
    columns = _both_ways(swapper, faces, device)
    swapper.train(training)
    count = min(len(column) for column in columns)
    pixels = [as_pixels(resize(column[:count].float().cpu(), FACE_PX)) for column in columns]
    return _lay_out(torch.cat(pixels, dim=2))


@torch.no_grad()
def draw_pictures(
    swapper: Swapper, faces: Faces, device: torch.device
) -> dict[str, npt.NDArray[np.uint8]]:
    """RGB pictures that the family itself draws, by name, of the first source and all targets."""
    if not isinstance(swapper, ShowsMore):
        return {}
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
