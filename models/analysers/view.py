"""Pictures for networks cut straight out of a frame's YUV planes; no full frame becomes RGB."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.media.colour import Planes, yuv_matrix
from likeness.vision import alignment
from likeness.vision.squares import Squares

Image = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]


class View:
    """One upright frame, seen by networks at the scales and angles they want.

    Networks see square pixels, and all px here but those of `luma` are square ones.

    Args:
        planes: y (H,W), u and v (ceil(H/2), ceil(W/2)), uint8, 4:2:0.
        space: colour space, a name of media.colour.
        colour_range: "limited" or "full".
        aspect: width and height of a stored pixel, in any unit.
    """

    def __init__(
        self,
        planes: Planes,
        space: str,
        colour_range: str,
        aspect: tuple[int, int] | list[int] = (1, 1),
    ) -> None:
        self._planes = planes
        self._matrix = yuv_matrix(space, colour_range)[1]
        self._black = (0.0 if colour_range == "full" else 16.0, 128.0, 128.0)
        height_px, width_px = planes[0].shape
        self.squares = Squares.shaped(width_px, height_px, aspect)
        self.width_px, self.height_px = self.squares.size

    @property
    def luma(self) -> Image:
        """Luma (H,W), as stored."""
        return self._planes[0]

    def _rgb(self, y: Image, u: Image, v: Image) -> Image:
        rgb: Image = cv2.transform(cv2.merge([y, u, v]), self._matrix)
        return rgb

    def resized(self, width: int, height: int) -> Image:
        """The whole frame as RGB (height, width, 3), bilinear."""
        y, u, v = (
            plane if plane.shape == (height, width) else cv2.resize(plane, (width, height))
            for plane in self._planes
        )
        return self._rgb(y, u, v)

    def window(self, box: Window, size: tuple[int, int]) -> Image:
        """RGB of a box of the frame as `resized(*size)` shows it, black beyond the frame.

        Args:
            box: x0, y0, x1, y1 in px of the resized frame.
            size: width and height of the resized frame.
        """
        # Pixel centres: stored px = (window px + 0.5 + start) * step - 0.5.
        steps = self.squares.width_px / size[0], self.squares.height_px / size[1]
        shift = [(start + 0.5) * step - 0.5 for start, step in zip(box[:2], steps, strict=True)]
        back = np.array([[steps[0], 0, shift[0]], [0, steps[1], shift[1]]])
        return self._sampled(back, (box[2] - box[0], box[3] - box[1]), cv2.BORDER_CONSTANT)

    def warped(self, affine: Affine, size_px: int, *, replicate: bool = False) -> Image:
        """Square RGB crop (size_px, size_px, 3), bilinear.

        Args:
            affine: (2,3), frame px -> crop px.
            replicate: beyond the frame its edge repeats; else it is black there.
        """
        border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
        back = cv2.invertAffineTransform(affine)
        if not self.squares.square:
            back = alignment.compose(self.squares.back, back)
        return self._sampled(back, (size_px, size_px), border)

    def _sampled(self, back: Affine, size: tuple[int, int], border: int) -> Image:
        """Sample each plane where `back` (picture px -> stored px) says."""
        # The chroma sample of a 2x2 block lies in its middle: chroma px = (stored px - 0.5) / 2.
        chroma = back / 2
        chroma[:, 2] -= 0.25
        y, u, v = (
            cv2.warpAffine(
                plane,
                chroma if index else back,
                size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=border,
                borderValue=self._black[index],
            )
            for index, plane in enumerate(self._planes)
        )
        return self._rgb(y, u, v)
