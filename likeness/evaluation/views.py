"""The same face of one frame in the target, in the render and with the source pasted in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision import alignment
from likeness.vision.alignment import Affine, rescaled
from likeness.vision.templates import template

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.floating]

VIEW_PX = 192
"""Side of a view: the input of the mesh network."""
ENLARGE = 1.5
"""Side of a view per longer side of the mesh, as the mesh network expects it."""
EMBED_PX = 112
BILINEAR_FROM = 0.7
"""View px per frame px from which a bilinear map is enough."""
_FROM_HALF = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]])
"""Px of a picture halved -> px of the picture; pixel centres at integers."""


@dataclass(frozen=True)
class Place:
    """Where one face lies in its frame.

    Attributes:
        to_view: (2,3) frame px -> view px; upright, the target's mesh fills two thirds of it.
        to_embed: (2,3) view px -> px of the embedder's crop, by the target's five points.
        from_aligned: (2,3) px of align's crop -> view px.
        mask: (VIEW_PX,VIEW_PX) uint8, 255 = replaced.
    """

    to_view: Affine
    to_embed: Affine
    from_aligned: Affine
    mask: Pixels


@dataclass(frozen=True)
class View:
    """Pixels of one face, each (VIEW_PX,VIEW_PX,3) uint8 RGB over the same area of the frame.

    `pasted` is None where only the motion is measured.
    """

    frame_index: int
    place: Place
    target: Pixels
    render: Pixels
    pasted: Pixels | None


def locate(
    aligned: Affine, landmarks_5: Points, landmarks_468: Points, mask: Pixels, to_mask: Affine
) -> Place:
    """Place of a face from align's crop and the swap's mask.

    Args:
        aligned: (2,3) frame px -> px of align's crop.
        landmarks_5: (5,2) px of that crop.
        landmarks_468: (468,3) px of that crop.
        mask: (M,M) uint8.
        to_mask: (2,3) frame px -> px of `mask`.
    """
    low, high = landmarks_468[:, :2].min(axis=0), landmarks_468[:, :2].max(axis=0)
    scale = VIEW_PX / max(float((high - low).max()) * ENLARGE, 1.0)
    offset = (VIEW_PX - 1) / 2 - scale * (low + high) / 2
    from_aligned = np.column_stack([np.eye(2) * scale, offset]).astype(np.float64)
    to_view = alignment.compose(from_aligned, aligned)
    five = alignment.apply(from_aligned, landmarks_5)
    to_embed = alignment.umeyama(five, template("arcface_112", EMBED_PX))
    from_mask = alignment.compose(to_view, alignment.invert(to_mask))
    seen = cv2.warpAffine(mask, from_mask, (VIEW_PX, VIEW_PX), flags=cv2.INTER_LINEAR)
    return Place(to_view, to_embed, from_aligned, np.asarray(seen, np.uint8))


def mask_affine(affine: Affine, size_px: int, mask_size_px: int) -> Affine:
    """(2,3) frame px -> px of a swapped face's mask, from that to its crop of `size_px`."""
    return rescaled(affine, size_px, mask_size_px)


def warped(region: Pixels, corner: tuple[int, int], place: Place) -> Pixels:
    """View of a face in `region`, the box of a frame whose first pixel is `corner` (x, y).

    A larger face is halved, by averages of 2x2 px, until a bilinear map folds nothing over: a view
    is looked at by networks and averages, and seen three times as fast as through an area filter.
    """
    affine = alignment.moved(place.to_view, *corner)
    while alignment.scale(affine) < BILINEAR_FROM and min(region.shape[:2]) > 1:
        height, width = -(-region.shape[0] // 2), -(-region.shape[1] // 2)
        more = (2 * height - region.shape[0], 2 * width - region.shape[1])
        even = cv2.copyMakeBorder(region, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE)
        region = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
        affine = alignment.compose(affine, _FROM_HALF)
    return _laid(np.ascontiguousarray(region), affine)


def beside(source_crop: Pixels, place: Place) -> Pixels:
    """A crop of align's template where the target's would lie in the view: as large, as high."""
    return _laid(source_crop, place.from_aligned)


def _laid(picture: Pixels, affine: Affine) -> Pixels:
    """What `picture` shows of a view; black around it, since a mirror shows a second mouth."""
    size, border = (VIEW_PX, VIEW_PX), cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(picture, affine, size, borderMode=border), np.uint8)


def paste(target: Pixels, source_crop: Pixels, place: Place) -> Pixels:
    """The target's view with `source_crop` (align's template) laid in by the mask, as it is."""
    laid = alignment.warp_crop(source_crop, place.from_aligned, VIEW_PX)
    alpha = (place.mask.astype(np.float32) / 255.0)[..., None]
    mixed = laid.astype(np.float32) * alpha + target.astype(np.float32) * (1.0 - alpha)
    return np.round(mixed).astype(np.uint8)


def embedder_crop(view: Pixels, place: Place) -> Pixels:
    """The embedder's crop (112,112,3) uint8 out of a view."""
    return alignment.warp_crop(view, place.to_embed, EMBED_PX)


def gallery_crop(crop: Pixels, landmarks_5: Points) -> Pixels:
    """The embedder's crop (112,112,3) uint8 out of align's crop and its five points."""
    return alignment.warp_crop(
        crop, alignment.umeyama(landmarks_5, template("arcface_112", EMBED_PX)), EMBED_PX
    )


def frame_mask(
    mask: Pixels, to_mask: Affine, width_px: int, height_px: int
) -> tuple[Pixels, tuple[int, int, int, int]]:
    """Mask of a face in its frame: pixels (h,w) uint8 and their box x0, y0, x1, y1."""
    box = _mask_box(mask, to_mask, width_px, height_px)
    moved = alignment.moved(to_mask, box[0], box[1])
    size = (box[2] - box[0], box[3] - box[1])
    laid = cv2.warpAffine(mask, moved, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(laid, np.uint8), box


class Laid(Protocol):
    """A face whose mask lies in a frame; see evaluation.face.FaceRow."""

    @property
    def mask(self) -> Pixels:
        """(M,M) uint8, 255 = replaced."""

    @property
    def to_mask(self) -> Affine:
        """(2,3) frame px -> px of `mask`."""


def touched(faces: Sequence[Laid], width_px: int, height_px: int) -> Pixels:
    """What the masks of all faces replace of a frame (H,W) uint8."""
    whole = np.zeros((height_px, width_px), np.uint8)
    for face in faces:
        mask, (x0, y0, x1, y1) = frame_mask(face.mask, face.to_mask, width_px, height_px)
        np.maximum(whole[y0:y1, x0:x1], mask, out=whole[y0:y1, x0:x1])
    return whole


def _mask_box(
    mask: Pixels, to_mask: Affine, width_px: int, height_px: int
) -> tuple[int, int, int, int]:
    """Box of the frame that holds what `mask` replaces, with a pixel around; at least one pixel."""
    x, y, width, height = cv2.boundingRect(mask)
    (a, b, c), (d, e, f) = to_mask.tolist()
    area = a * e - b * d
    corners = [
        ((e * (u - c) - b * (v - f)) / area, (a * (v - f) - d * (u - c)) / area)
        for u in (x - 1.0, x + width)
        for v in (y - 1.0, y + height)
    ]
    (left, right), (top, bottom) = ((min(v), max(v)) for v in zip(*corners, strict=True))
    x0 = min(max(math.floor(left) - 1, 0), width_px - 1)
    y0 = min(max(math.floor(top) - 1, 0), height_px - 1)
    x1, y1 = math.ceil(right) + 2, math.ceil(bottom) + 2
    return x0, y0, min(max(x1, x0 + 1), width_px), min(max(y1, y0 + 1), height_px)
