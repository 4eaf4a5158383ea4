"""A crop turned back into its place in the frame: the way back of `alignment`."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision import alignment
from likeness.vision.box import Box

Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
OVERSAMPLING = 1.5
"""Density, in frame px, to which a crop is brought before it is turned into place."""
COARSE_CHROMA = 0.75
"""Density of chroma above which a bicubic shows nothing that a bilinear does not."""


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
    # Crop px per frame px: the resampling is upright as far as it can be, turned for the rest.
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
