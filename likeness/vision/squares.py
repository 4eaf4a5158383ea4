"""Square pixels: the plane in which faces have their true shape, beside the pixels as stored.

Footage may state that its pixels are wider than high (PAL 16:9: 64:45). Tables and blending keep to
the px that are stored; whatever looks at a face (detector, embedder, mesh, pose, crop) sees square
ones. The shorter side of a pixel is drawn out, so that no detail is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating]
Affine = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Squares:
    """From stored px of a frame to square ones and back.

    Attributes:
        width_px, height_px: of the frame as stored.
        along: square px per stored px, across and down; (1, 1) where they are square already.
    """

    width_px: int
    height_px: int
    along: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Squares:
        """Of footage, by its facts."""
        return cls.shaped(facts["width_px"], facts["height_px"], facts["sample_aspect_ratio"])

    @classmethod
    def shaped(cls, width_px: int, height_px: int, aspect: tuple[int, int] | list[int]) -> Squares:
        """Of frames whose pixels are `aspect` (width, height), in any unit."""
        width, height = (float(part) for part in aspect)
        if width <= 0 or height <= 0:
            return cls(width_px, height_px)
        return cls(width_px, height_px, (max(width / height, 1.0), max(height / width, 1.0)))

    @property
    def square(self) -> bool:
        """Whether stored px are square."""
        return self.along == (1.0, 1.0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame in square px, rounded."""
        return round(self.width_px * self.along[0]), round(self.height_px * self.along[1])

    @property
    def matrix(self) -> Affine:
        """(2,3) stored px -> square px; pixel centres lie at integers."""
        along = np.array(self.along)
        return np.column_stack([np.diag(along), 0.5 * along - 0.5])

    @property
    def back(self) -> Affine:
        """(2,3) square px -> stored px."""
        along = 1 / np.array(self.along)
        return np.column_stack([np.diag(along), 0.5 * along - 0.5])

    def drawn(self, points: Points) -> npt.NDArray[np.float64]:
        """Points (...,2) in stored px, now in square ones."""
        return (np.asarray(points, np.float64) + 0.5) * self.along - 0.5

    def stored(self, points: Points) -> npt.NDArray[np.float64]:
        """Points (...,2) in square px, now in stored ones."""
        return (np.asarray(points, np.float64) + 0.5) / self.along - 0.5
