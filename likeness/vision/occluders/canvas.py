"""What is drawn in front of a face: pictures with an opacity, twice as fine as the crop."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.mesh import FACE_OVAL

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Points = npt.NDArray[np.floating]

FINER = 2
"""Drawn at so many times the crop's side, then averaged: strands are thinner than a px."""
_BITS = 4


@dataclass(frozen=True)
class Face:
    """A face to be covered, in a square picture.

    Attributes:
        rgb: (S,S,3) float32, 0-255.
        points: (468,2) px.
        skin: (3,) its usual colour on the cheeks.
        hair: (K,3) colours found in its hair.
    """

    rgb: Floats
    points: Points
    skin: Floats
    hair: Floats

    @property
    def size_px(self) -> int:
        """Side of the picture."""
        return int(self.rgb.shape[0])

    @property
    def width_px(self) -> float:
        """Longest extent of the oval across."""
        return float(np.ptp(self.points[list(FACE_OVAL), 0]))

    @property
    def height_px(self) -> float:
        """From chin to forehead."""
        return float(np.linalg.norm(self.points[10] - self.points[152]))


@dataclass(frozen=True)
class Layer:
    """Something to lay over a picture.

    Attributes:
        rgb: (S,S,3) float32, 0-255.
        opacity: (S,S) float32 in [0,1].
        covers: (S,S) in [0,1], how far it hides the face; tinted glass is seen and hides nothing.
        shadow: (S,S) in [0,1], by how much the face below it is darkened.
    """

    rgb: Floats
    opacity: Floats
    covers: Floats
    shadow: Floats


class Sheet:
    """A picture and its opacity to draw into, `FINER` times as fine as the crop."""

    def __init__(self, size_px: int, rgb: Points) -> None:
        side = size_px * FINER
        self.size_px = size_px
        self._drawn: Bytes = np.empty((side, side, 4), np.uint8)
        self._drawn[..., :3] = np.clip(rgb, 0, 255)
        self._drawn[..., 3] = 0

    def line(self, path: Points, rgb: Points, width_px: float) -> None:
        """A line (N,2) in px of the crop."""
        self.lines([fixed(path)], rgb, width_px)

    def lines(self, paths: list[npt.NDArray[np.int32]], rgb: Points, width_px: float) -> None:
        """Lines as `fixed` gives them."""
        thick = max(1, round(width_px * FINER))
        cv2.polylines(
            self._drawn,
            paths,
            isClosed=False,
            color=_ink(rgb),
            thickness=thick,
            lineType=cv2.LINE_AA,
            shift=_BITS,
        )

    def area(self, outline: Points, rgb: Points) -> None:
        """The inside of an outline (N,2) in px of the crop."""
        cv2.fillPoly(self._drawn, [fixed(outline)], _ink(rgb), cv2.LINE_AA, _BITS)

    def averaged(self) -> tuple[Floats, Floats]:
        """The picture (S,S,3) 0-255 and its opacity (S,S) in [0,1]."""
        size = (self.size_px, self.size_px)
        drawn = cv2.resize(self._drawn, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return drawn[..., :3], drawn[..., 3] / 255.0


def _ink(rgb: Points) -> list[float]:
    red, green, blue = rgb
    return [min(max(float(c), 0.0), 255.0) for c in (red, green, blue)] + [255.0]


def fixed(points: Points) -> npt.NDArray[np.int32]:
    """Points in px of the crop as OpenCV's fixed-point ones of the finer sheet."""
    fine = (np.asarray(points, np.float64) + 0.5) * FINER - 0.5
    return np.round(np.clip(fine, -4096, 4096) * (1 << _BITS)).astype(np.int32)


def noise(rng: np.random.Generator, size_px: int, cells: int) -> Floats:
    """Smooth noise (S,S), about in [-1,1], with so many cells to a side."""
    coarse = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    return cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def cast(opacity: Floats, rng: np.random.Generator, most: float = 0.6) -> Floats:
    """The shadow that something throws on the face: its outline, moved and blurred."""
    reach = float(rng.uniform(1, 7))
    shift = np.array([[1, 0, rng.uniform(-5, 5)], [0, 1, rng.uniform(-2, 6)]])
    moved = cv2.warpAffine(opacity, shift, opacity.shape[::-1])
    return cv2.GaussianBlur(moved, (0, 0), reach) * np.float32(rng.uniform(0, most))


def lay(picture: Floats, layer: Layer) -> Floats:
    """The picture (S,S,3) with the layer and its shadow over it."""
    shaded = picture * (1 - layer.shadow * (1 - layer.opacity))[..., None]
    return shaded + (layer.rgb - shaded) * layer.opacity[..., None]


def place(face: Face, rightwards: float, downwards: float) -> npt.NDArray[np.float64]:
    """A point in the face's own measure: (0,0) middle of the oval, 1 half its width or height."""
    oval = face.points[list(FACE_OVAL)]
    middle = (oval.max(axis=0) + oval.min(axis=0)) / 2
    half = np.array([face.width_px, face.height_px]) / 2
    return np.asarray(middle + half * (rightwards, downwards), np.float64)
