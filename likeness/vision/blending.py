"""A swapped crop put back into its frame, inside the face's bounding box only.

Everything here works on arrays of the size of the box, so that a frame costs what its faces
cost, whatever its resolution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision import alignment

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]
OVERSAMPLING = 1.5
"""Density, in frame px, to which a crop is brought before it is turned into place."""
COARSE_CHROMA = 0.75
"""Density of chroma above which a bicubic shows nothing that a bilinear does not."""


class Box(NamedTuple):
    """Whole px of a picture: columns x0 to x1 and rows y0 to y1, the last ones left out."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    def cut(self, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """View of this box in `picture` (H,W,...)."""
        return picture[self.y0 : self.y1, self.x0 : self.x1]

    def halved(self) -> Box:
        """The same box in a plane of half the width and height; needs even corners."""
        return Box(self.x0 // 2, self.y0 // 2, self.x1 // 2, self.y1 // 2)


def rescaled(affine: Affine, from_px: int, to_px: int) -> Affine:
    """`affine` (2,3) into a square of `from_px`, now into the same square sampled at `to_px`.

    Pixel centres lie at integers, so that px x becomes (x + 0.5) * to / from - 0.5.
    """
    scale = to_px / from_px
    moved = np.asarray(affine, np.float64) * scale
    moved[:, 2] += 0.5 * scale - 0.5
    return moved


def shifted(affine: Affine, x_px: float, y_px: float) -> Affine:
    """`affine` (2,3) into a square, now into the part of it that begins at (x_px, y_px)."""
    moved = np.array(affine, np.float64)
    moved[:, 2] -= (x_px, y_px)
    return moved


def soft_alpha(mask: Pixels, erode_px: float, feather_px: float) -> Floats:
    """Alpha with a soft edge, float32 (S,S) in [0,1], from a mask uint8 (S,S), 255 = replace.

    The edge is drawn inwards: from `erode_px` inside the mask, alpha rises over `feather_px` as
    3t^2 - 2t^3 of the distance to the edge, times the mask's own value. It is 0 wherever the mask
    is 0 and at the rim of the crop, so that no pixel outside the mask changes and the crop's
    border never shows.
    """
    framed = mask.copy()
    framed[[0, -1], :] = 0
    framed[:, [0, -1]] = 0
    alpha = np.zeros(mask.shape, np.float32)
    x, y, width, height = cv2.boundingRect(framed)
    if not width:
        return alpha
    # The rim is 0, so that a ring of zeros fits around what is not.
    part = Box(x - 1, y - 1, x + width + 1, y + height + 1)
    shown = part.cut(framed)
    rise = part.cut(alpha)
    np.multiply(shown, np.float32(1 / 255), out=rise)
    if erode_px or feather_px:
        depth = np.asarray(cv2.distanceTransform(shown, cv2.DIST_L2, cv2.DIST_MASK_5))
        # A pixel at the edge is one px deep; without a feather the step lies within one px.
        depth -= np.float32(erode_px)
        depth *= np.float32(1 / max(feather_px, 1.0))
        np.clip(depth, 0, 1, out=depth)
        rise *= depth * depth * (3 - 2 * depth)
    return alpha


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
    placed = alignment.apply(alignment.invert(affine), points)
    reach = 1.0 / min(alignment.steps(affine))
    low, high = np.floor(placed.min(axis=0) - reach), np.ceil(placed.max(axis=0) + reach)
    x0, y0 = (max(int(v) // 2 * 2, 0) for v in low)
    x1 = min((int(high[0]) + 2) // 2 * 2, width_px // 2 * 2)
    y1 = min((int(high[1]) + 2) // 2 * 2, height_px // 2 * 2)
    return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def warp_to_box(
    picture: npt.NDArray[Any], affine: Affine, box: Box, coarsest: float = 1.0
) -> npt.NDArray[Any]:
    """`picture` (crop px, uint8) seen in the frame's `box`, given `affine` frame px -> crop px.

    A picture that is too coarse (fewer than `coarsest` px per frame px) first grows by a bicubic
    to `OVERSAMPLING` times the frame's density, one that is too fine is averaged down to it, so
    that no detail folds over; the rest is bilinear. Upright resizing is several times as fast as
    a turned bicubic and differs from it by 2 levels at most. Beyond its rim the picture is
    continued.
    """
    to_crop = alignment.moved(affine, box.x0, box.y0)
    density = alignment.scale(to_crop)
    if not coarsest <= density <= OVERSAMPLING:
        how = cv2.INTER_CUBIC if density < coarsest else cv2.INTER_AREA
        picture, to_crop = _resized(picture, to_crop, OVERSAMPLING / density, how)
    return np.asarray(
        cv2.warpAffine(
            picture,
            to_crop,
            (box.width, box.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _resized(
    picture: npt.NDArray[Any], to_crop: Affine, factor: float, how: int
) -> tuple[npt.NDArray[Any], Affine]:
    """The picture at about `factor` times its size, and the affine that leads there."""
    height, width = picture.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    other = cv2.resize(picture, size, interpolation=how)
    along = np.array([size[0] / width, size[1] / height])
    # Pixel centres at integers: other = (own + 0.5) * factor - 0.5.
    there = np.column_stack([np.diag(along), 0.5 * along - 0.5])
    return other, alignment.compose(there, to_crop)


def warp_alpha(alpha: Floats, affine: Affine, box: Box) -> Floats:
    """`alpha` (crop px, float32) seen in the frame's `box`, bilinear; 0 beyond its rim."""
    return np.asarray(
        cv2.warpAffine(
            alpha,
            alignment.moved(affine, box.x0, box.y0),
            (box.width, box.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=0,
        )
    )


def sample(picture: npt.NDArray[Any], affine: Affine, size_px: int) -> npt.NDArray[Any]:
    """Points of `picture` on a grid (size_px,size_px), given `affine` grid px -> picture px.

    Not averaged: a mean of samples has the mean of the pixels, and so has their deviation.
    """
    return np.asarray(
        cv2.warpAffine(
            picture,
            affine,
            (size_px, size_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def halved(affine: Affine) -> Affine:
    """`affine` from frame px, now from px of a plane of half its size.

    Sample x of such a plane stands for px 2x and 2x + 1 of the frame, whose middle is 2x + 0.5.
    """
    return np.column_stack([2 * affine[:, :2], affine[:, 2] + 0.5 * affine[:, :2].sum(axis=1)])


def mixed(below: Pixels, above: Pixels, alpha: Floats) -> Pixels:
    """`below` where alpha is 0, `above` where it is 1: uint8 (h,w) or (h,w,3), alpha (h,w)."""
    return np.asarray(cv2.blendLinear(below, above, 1.0 - alpha, alpha))


def composite_planes(
    below: tuple[Pixels, Pixels, Pixels], above: tuple[Pixels, Pixels, Pixels], alpha: Floats
) -> None:
    """Mix the 4:2:0 planes `above` into `below`, in place.

    Y (h,w), U and V (h/2,w/2) of one box, alpha (h,w). Mixing is linear, and so is the way from
    R'G'B' to Y'CbCr: mixing the planes equals mixing the colours, without converting the target
    there and back. Samples whose alpha is 0 keep their value to the bit.
    """
    half = cv2.resize(
        alpha, (alpha.shape[1] // 2, alpha.shape[0] // 2), interpolation=cv2.INTER_AREA
    )
    for under, over, share in zip(below, above, (alpha, half, half), strict=True):
        under[:] = mixed(np.ascontiguousarray(under), over, share)


def poisson(below: Pixels, above: Pixels, alpha: Floats) -> Pixels | None:
    """`above` with its gradients kept and its level taken from `below` around the mask.

    Perez, Gangnet, Blake: "Poisson Image Editing", SIGGRAPH 2003, by cv2.seamlessClone. Both
    uint8 RGB (h,w,3), alpha (h,w). The clone is centred on the box of its own mask, so that it
    stands where it stood: a centre computed elsewhere moves it by a pixel and jitters.

    Returns:
        The cloned picture (h,w,3), or None where it cannot be made: a mask of less than 3 px, or
        one that OpenCV refuses.
    """
    mask = (alpha > 0.02).astype(np.uint8) * 255
    # A mask that touches the rim of the box leaves no ring of target pixels to start from.
    mask[[0, -1], :] = 0
    mask[:, [0, -1]] = 0
    x, y, width, height = cv2.boundingRect(mask)
    if width < 3 or height < 3:
        return None
    try:
        cloned = cv2.seamlessClone(
            above, below, mask, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE
        )
    except cv2.error:
        return None
    return np.asarray(cloned)
