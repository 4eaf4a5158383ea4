"""Whole pixels of a picture, as a rectangle."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt


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
