"""A swapped face laid into a frame's 4:2:0 planes: soft edge, colours of the frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision import blending
from likeness.vision.colour import SteadyColours, lab_transfer
from likeness.vision.patch import Patch, cut_patch, patch_colours, sample_planes

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Planes = tuple[Pixels, Pixels, Pixels]
Clone = Callable[[Patch, Pixels, Floats], Planes | None]


@dataclass(frozen=True)
class Face:
    """A swapped face and its place.

    Attributes:
        track: shot and track; colours are steadied within it.
        crop: uint8 RGB (S,S,3).
        mask: uint8 (M,M) over the same area, 255 = replace.
        affine: (2,3) frame px -> px of `crop`.
    """

    track: tuple[int, int]
    crop: Pixels
    mask: Pixels
    affine: npt.NDArray[np.float64]


class Manner(Protocol):
    """How a face is laid; section `blend` of params.yaml says what each means."""

    @property
    def erode(self) -> float:
        """Share of the crop's side by which the mask shrinks."""

    @property
    def feather(self) -> float:
        """Width of the soft edge, share of the crop's side."""

    @property
    def colour(self) -> str:
        """lab, or none."""

    @property
    def colour_strength(self) -> float:
        """0 none, 1 all the way."""


def paste_face(
    planes: Planes,
    face: Face,
    manner: Manner,
    matrices: tuple[Floats, Floats],
    steady: SteadyColours,
    *,
    clone: Clone | None = None,
) -> str:
    """Lay one face into the writable 4:2:0 `planes`, in place.

    Args:
        planes: y (H,W), u and v of half its size, uint8.
        face: what to lay.
        manner: how.
        matrices: (3,4) each, RGB -> YUV and back, of the footage's space and range.
        steady: colours of the tracks so far.
        clone: makes the patch's box from the patch, its crop and its alpha in another way than
            by mixing; None where it is refused.

    Returns:
        "pasted", "outside" (nothing of it shows) or "refused" (by `clone`; pasted feathered).
    """
    # 1. What shows of the face, and where.
    height, width = planes[0].shape
    patch = cut_patch(
        face.crop,
        face.mask,
        face.affine,
        (width, height),
        erode=manner.erode,
        feather=manner.feather,
    )
    if patch is None:
        return "outside"
    # 2. Colours: the crop's mean and deviation in Lab become those of what lies beneath.
    crop = patch.crop
    if manner.colour == "lab":
        beneath = cv2.transform(sample_planes(planes, patch), matrices[1])
        measured = patch_colours(patch, beneath, (width, height))
        if measured is not None:
            own, wanted = steady.update(face.track, *measured)
            crop = lab_transfer(crop, own, wanted, manner.colour_strength)
    # 3. Crop and alpha turned into the frame's box.
    alpha = patch.alpha_in_box()
    cloned = clone(patch, crop, alpha) if clone is not None else None
    # The crop itself is turned to YUV: it has fewer pixels than the box, and U and V are then
    # warped at the quarter of the pixels that the frame keeps of them.
    above = cloned or patch.planes_in_box(cv2.transform(crop, matrices[0]))
    # 4. Both mixed, in views of the frame's own planes.
    box, half = patch.box, patch.box.halved()
    below = (box.cut(planes[0]), half.cut(planes[1]), half.cut(planes[2]))
    blending.composite_planes(below, above, alpha)
    return "refused" if clone is not None and cloned is None else "pasted"
