"""Pictures for networks cut straight out of a frame's YUV planes; no full frame becomes RGB."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.media.colour import Planes, yuv420_to_rgb, yuv_matrix

Image = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]


class View:
    """One upright frame, seen by networks at the scales and angles they want.

    Args:
        planes: y (H,W), u and v (ceil(H/2), ceil(W/2)), uint8, 4:2:0.
        space: colour space, a name of media.colour.
        colour_range: "limited" or "full".
    """

    def __init__(self, planes: Planes, space: str, colour_range: str) -> None:
        self._planes = planes
        self._colours = space, colour_range
        self._black = (0.0 if colour_range == "full" else 16.0, 128.0, 128.0)
        self.height_px, self.width_px = planes[0].shape

    @property
    def luma(self) -> Image:
        """Luma (H,W)."""
        return self._planes[0]

    def resized(self, width: int, height: int) -> Image:
        """The whole frame as RGB (height, width, 3), bilinear."""
        planes = self._planes
        if (width, height) != (self.width_px, self.height_px):
            half = (width + 1) // 2, (height + 1) // 2
            y = cv2.resize(planes[0], (width, height))
            planes = y, cv2.resize(planes[1], half), cv2.resize(planes[2], half)
        return yuv420_to_rgb(planes, *self._colours)

    def window(self, box: Window, scale: float) -> Image:
        """RGB of a box of the resized frame, black beyond the frame.

        Args:
            box: x0, y0, x1, y1 in px of the frame resized by `scale`; all even.
            scale: resized px per frame px.
        """
        x0, y0, x1, y1 = box
        parts = []
        for index, plane in enumerate(self._planes):
            by = 2 if index else 1
            # Pixel centres: frame px = (window px + 0.5 + start) / scale - 0.5.
            shift = [(start / by + 0.5) / scale - 0.5 for start in (x0, y0)]
            back = np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]])
            size = (x1 - x0) // by, (y1 - y0) // by
            parts.append(
                cv2.warpAffine(
                    plane,
                    back,
                    size,
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderValue=self._black[index],
                )
            )
        return yuv420_to_rgb((parts[0], parts[1], parts[2]), *self._colours)

    def warped(self, affine: Affine, size_px: int, *, replicate: bool = False) -> Image:
        """Square RGB crop (size_px, size_px, 3), bilinear.

        Args:
            affine: (2,3), frame px -> crop px.
            replicate: beyond the frame its edge repeats; else it is black there.
        """
        border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
        back = cv2.invertAffineTransform(affine)
        # The chroma sample of a 2x2 block lies in its middle: chroma px = (frame px - 0.5) / 2.
        half = back / 2
        half[:, 2] -= 0.25
        yuv = np.empty((size_px, size_px, 3), np.uint8)
        for index, plane in enumerate(self._planes):
            yuv[..., index] = cv2.warpAffine(
                plane,
                half if index else back,
                (size_px, size_px),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=border,
                borderValue=self._black[index],
            )
        rgb: Image = cv2.transform(yuv, yuv_matrix(*self._colours)[1])
        return rgb
