"""A swapped face cut down to what shows of it in a frame, and turned into its place there.

Everything here works on arrays of the size of the face's box, so that a frame costs what its faces
cost, whatever its resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision import alignment, blending, placing
from likeness.vision.box import Box
from likeness.vision.colour import LabStatistics, lab_statistics

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]
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

    def alpha_in_box(self) -> Floats:
        """Alpha as it lies in the frame's box."""
        return placing.warp_alpha(self.alpha, self.to_alpha, self.box)

    def in_box(self, picture: Pixels) -> Pixels:
        """`picture`, of the shape of `crop`, as it lies in the frame's box."""
        return placing.warp_to_box(picture, self.to_crop, self.box)

    def planes_in_box(self, yuv: Pixels) -> tuple[Pixels, Pixels, Pixels]:
        """`yuv`, the crop as Y, U, V (h,w,3), as 4:2:0 planes of the frame's box."""
        y, u, v = (np.asarray(plane) for plane in cv2.split(yuv))
        luma = placing.warp_to_box(y, self.to_crop, self.box)
        half, halved = alignment.halved(self.to_crop), self.box.halved()
        # Plane by plane: OpenCV turns two single channels in half the time of a pair.
        first, second = (
            placing.warp_to_box(plane, half, halved, placing.COARSE_CHROMA) for plane in (u, v)
        )
        return luma, first, second

    def grid(self) -> Affine:
        """(2,3) from px of a grid of `GRID_PX` over the patch to frame px."""
        rows, columns = self.alpha.shape
        # Grid px -> alpha px, pixel centres at integers: a = (g + 0.5) * step - 0.5.
        steps = np.array([columns / GRID_PX, rows / GRID_PX])
        to_alpha = np.column_stack([np.diag(steps), 0.5 * steps - 0.5])
        return alignment.compose(alignment.invert(self.to_alpha), to_alpha)


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
    # The alpha (M,M), and the box of the frame that holds all of it above 0.
    alpha = blending.soft_alpha(mask, erode * side, feather * side)
    points = outline(alpha)
    to_alpha = alignment.rescaled(affine, size, side)
    box = paste_box(to_alpha, points, *frame_px)
    if box is None:
        return None
    # The parts of alpha and crop that the box reads: bilinear reaches 1 px further in alpha, a
    # bicubic 2 px in the crop, from anywhere in an alpha px, which is size / side crop px wide.
    inner = _around(points, 1.0, side)
    part = _around((points + 0.5) * (size / side) - 0.5, 2.0 + 0.5 * size / side, size)
    return Patch(
        box,
        part.cut(crop),
        alignment.shifted(affine, part.x0, part.y0),
        inner.cut(alpha),
        alignment.shifted(to_alpha, inner.x0, inner.y0),
    )


def _around(points: Points, margin: float, side: int) -> Box:
    """Box of a square picture that holds `points` and a margin."""
    x0, y0 = np.maximum(np.floor(points.min(axis=0) - margin).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0) + margin).astype(int) + 1, side)
    return Box(int(x0), int(y0), int(x1), int(y1))


def outline(alpha: Floats) -> npt.NDArray[np.float64]:
    """Points (N,2) in px whose hull holds every pixel of `alpha` (S,S) above 0; none: (0,2)."""
    shown = alpha > 0
    rows = np.flatnonzero(shown.any(axis=1))
    first = shown[rows].argmax(axis=1)
    last = alpha.shape[1] - 1 - shown[rows, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([first, rows]), np.column_stack([last, rows])]) * 1.0


def paste_box(affine: Affine, points: Points, width_px: int, height_px: int) -> Box | None:
    """Box of the frame in which all lies that `points` (N,2), in crop px, enclose.

    It holds what interpolation reaches beyond them; its corners are even, as 4:2:0 planes need
    them, and inside the frame; an odd last row or column of the frame is left out. None if
    nothing of it is inside the frame.
    """
    if not len(points):
        return None
    # The outline in frame px, and how far one crop px reaches there.
    placed = alignment.apply(alignment.invert(affine), points)
    reach = 1.0 / min(alignment.steps(affine))
    low, high = np.floor(placed.min(axis=0) - reach), np.ceil(placed.max(axis=0) + reach)
    x0, y0 = (max(int(v) // 2 * 2, 0) for v in low)
    x1 = min((int(high[0]) + 2) // 2 * 2, width_px // 2 * 2)
    y1 = min((int(high[1]) + 2) // 2 * 2, height_px // 2 * 2)
    return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def patch_colours(
    patch: Patch, beneath: Pixels, frame_px: tuple[int, int]
) -> tuple[LabStatistics, LabStatistics] | None:
    """Lab statistics of the patch's crop and of what lies beneath it.

    Both are measured on one coarse grid over the patch, weighted by alpha; what lies outside the
    frame counts for neither.

    Args:
        patch: the face.
        beneath: uint8 RGB (GRID_PX,GRID_PX,3) of the frame at the points of `patch.grid()`.
        frame_px: width and height of the frame.

    Returns:
        None where too little shows.
    """
    grid = patch.grid()
    # Crop and alpha at the grid's points (GRID_PX,GRID_PX); weight 0 beyond the frame.
    own = placing.sample(patch.crop, alignment.compose(patch.to_crop, grid), GRID_PX)
    weight = cv2.resize(patch.alpha, (GRID_PX, GRID_PX), interpolation=cv2.INTER_AREA)
    inside = alignment.inside(alignment.invert(grid), GRID_PX, *frame_px)
    if not inside.all():
        weight = np.where(inside > 0, weight, np.float32(0))
    measured = lab_statistics(own, weight), lab_statistics(beneath, weight)
    return None if measured[0] is None or measured[1] is None else (measured[0], measured[1])


def sample_planes(planes: tuple[Pixels, Pixels, Pixels], patch: Patch) -> Pixels:
    """Y, U, V (GRID_PX,GRID_PX,3) of a frame's 4:2:0 planes at the points of `patch.grid()`."""
    grid, box = patch.grid(), patch.box
    # Px x of the frame lies in a plane of half its size at (x - 0.5) / 2.
    half = alignment.compose(np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25]]), grid)
    places = ((box, grid), (box.halved(), half), (box.halved(), half))
    return np.asarray(
        cv2.merge(
            [
                placing.sample(
                    part.cut(plane), alignment.shifted(affine, part.x0, part.y0), GRID_PX
                )
                for plane, (part, affine) in zip(planes, places, strict=True)
            ]
        )
    )
