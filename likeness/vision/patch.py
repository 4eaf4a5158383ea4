"""A swapped face cut down to what shows of it in a frame, with the colours of that frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision import alignment, blending
from likeness.vision.blending import Box
from likeness.vision.colour import LabStatistics, lab_statistics

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
GRID_PX = 64
"""Side of the grid on which colours are measured; 4,096 samples are steady enough for a mean."""


@dataclass(frozen=True)
class Patch:
    """What of a face is to be laid where, cut down to the part that shows.

    Attributes:
        box: place in the frame, with even corners.
        crop, to_crop: the part of the crop (h,w,3) uint8 RGB, and (2,3) from frame px to it.
        alpha, to_alpha: the same for the alpha (h,w), which has its own resolution.
    """

    box: Box
    crop: Pixels
    to_crop: Affine
    alpha: Floats
    to_alpha: Affine

    def warped(self, crop: Pixels | None = None) -> tuple[Pixels, Floats]:
        """`crop` (None: the patch's own) and alpha as they lie in the frame's box."""
        picture = self.crop if crop is None else crop
        above = blending.warp_to_box(picture, self.to_crop, self.box)
        return above, blending.warp_to_box(self.alpha, self.to_alpha, self.box)


def cut_patch(
    crop: Pixels,
    mask: Pixels,
    affine: Affine,
    frame_px: tuple[int, int],
    *,
    erode: float = 0.0,
    feather: float = 0.0,
) -> Patch | None:
    """The part of a swapped face whose alpha is above 0.

    Args:
        crop: uint8 RGB (S,S,3).
        mask: uint8 (M,M) over the same area, 255 = replace.
        affine: (2,3) frame px -> px of `crop`.
        frame_px: width and height of the frame.
        erode: the mask shrinks by this share of its side.
        feather: width of the soft edge, share of the side.

    Returns:
        None if none of it lies in the frame.
    """
    size, side = crop.shape[0], mask.shape[0]
    alpha = blending.soft_alpha(mask, round(erode * side), round(feather * side))
    inner = blending.bounds(alpha)
    if inner is None:
        return None
    to_alpha = blending.shifted(blending.rescaled(affine, size, side), inner.x0, inner.y0)
    box = blending.paste_box(to_alpha, Box(0, 0, inner.width, inner.height), *frame_px)
    if box is None:
        return None
    low = np.floor(np.array([inner.x0, inner.y0]) * size / side).astype(int) - 2
    high = np.ceil(np.array([inner.x1, inner.y1]) * size / side).astype(int) + 2
    (x0, y0), (x1, y1) = np.maximum(low, 0), np.minimum(high, size)
    part = Box(int(x0), int(y0), int(x1), int(y1)).cut(crop)
    to_crop = blending.shifted(affine, x0, y0)
    return Patch(box, part, to_crop, inner.cut(alpha), to_alpha)


def patch_colours(
    patch: Patch, region: Pixels, frame_px: tuple[int, int]
) -> tuple[LabStatistics, LabStatistics] | None:
    """Lab statistics of the patch's crop and of what lies beneath it.

    Both are measured on one coarse grid over the patch, weighted by alpha; what lies outside the
    frame counts for neither.

    Args:
        patch: the face.
        region: uint8 RGB of the frame in the patch's box.
        frame_px: width and height of the frame.

    Returns:
        None where too little shows.
    """
    rows, columns = patch.alpha.shape
    steps = np.array([GRID_PX / columns, GRID_PX / rows])
    to_grid = alignment.compose(
        np.column_stack([np.diag(steps), 0.5 * steps - 0.5]), patch.to_alpha
    )
    from_grid = alignment.invert(to_grid)
    whole = Box(0, 0, GRID_PX, GRID_PX)
    own = blending.warp_to_box(patch.crop, alignment.compose(patch.to_crop, from_grid), whole)
    lower = blending.shifted(from_grid, patch.box.x0, patch.box.y0)
    beneath = blending.warp_to_box(region, lower, whole)
    weight = cv2.resize(patch.alpha, (GRID_PX, GRID_PX), interpolation=cv2.INTER_AREA)
    weight[alignment.inside(to_grid, GRID_PX, *frame_px) == 0] = 0
    measured = lab_statistics(own, weight), lab_statistics(beneath, weight)
    return None if measured[0] is None or measured[1] is None else (measured[0], measured[1])
