"""What a live run shows of a frame: the face laid back, or the crop alone; always with the mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts.params.blend import LEAST_PX, BlendParams
from likeness.contracts.params.publish import PublishParams
from likeness.media.colour import Planes, rgb_to_yuv420, yuv_matrix
from likeness.media.frame import Frame
from likeness.provenance.marks import Mark, make_mark, stamp
from likeness.vision import alignment
from likeness.vision.colour import SteadyColours
from likeness.vision.pasting import Face, paste_face

View = Literal["paste", "crop", "side-by-side"]
VIEWS: tuple[View, ...] = ("paste", "crop", "side-by-side")
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Made:
    """What the model made of a frame's face.

    Attributes:
        crop: uint8 RGB (S,S,3).
        mask: uint8 (M,M), 255 = replace.
        affine: (2,3) frame px -> px of `crop`.
        track: of the tracker.
    """

    crop: Pixels
    mask: Pixels
    affine: npt.NDArray[np.float64]
    track: int


class Composer:
    """Makes the pictures of one run.

    Args:
        facts: of the footage (`Footage.facts`).
        view: what is shown.
        size_px: side of the family's crops.
        lay: how a face is laid.
        mark: the visible mark; there is no run without one.
        generated: True for a family that re-enacts: where its crop is shown and there is none,
            the last one stays (black before the first), never the driver in its place.
    """

    def __init__(
        self,
        facts: dict[str, Any],
        view: View,
        size_px: int,
        lay: BlendParams,
        mark: PublishParams,
        *,
        generated: bool = False,
    ) -> None:
        self._view, self._lay, self._generated = view, lay, generated
        self.space = (facts["colour_space"], facts["colour_range"])
        self._steady = SteadyColours(lay.colour_memory)
        self._side = max(LEAST_PX, size_px // 2 * 2)
        self._own = np.zeros((self._side, self._side, 3), np.uint8)
        width, height = facts["width_px"], facts["height_px"]
        if view != "paste":
            width, height = self._side * (2 if view == "side-by-side" else 1), self._side
        self.facts = {**facts, "width_px": width, "height_px": height}
        if view != "paste":
            self.facts["sample_aspect_ratio"] = [1, 1]  # crops are square, whatever the frames
        size = (width, height)
        self._mark: Mark = make_mark(mark.text, size, mark.corner, mark.size, mark.opacity)

    def __call__(self, frame: Frame, made: Made | None) -> Planes:
        """Planes y (H,W), u and v of half its size, of one frame.

        Args:
            frame: decoded.
            made: its face, or None: the frame passes through.
        """
        if self._view == "paste":
            planes = self._pasted(frame, made)
        else:
            rgb = self._crop(frame, made)
            planes = rgb_to_yuv420(np.ascontiguousarray(rgb), *self.space)
        return stamp(planes, self._mark, self.space[1] == "full")

    def _pasted(self, frame: Frame, made: Made | None) -> Planes:
        planes = frame.planes()
        if made is None:
            return planes
        y, u, v = (plane.copy() for plane in planes)
        face = Face((0, made.track), made.crop, made.mask, made.affine)
        paste_face((y, u, v), face, self._lay, yuv_matrix(*self.space), self._steady)
        return y, u, v

    def _crop(self, frame: Frame, made: Made | None) -> Pixels:
        """The model's crop, beside that of the frame if asked for."""
        if made is not None:
            self._own = _resized(made.crop, self._side)
        elif not self._generated:
            self._own = _middle(frame.rgb(), self._side)
        if self._view == "crop":
            return self._own
        return np.hstack([self._driver(frame, made), self._own])

    def _driver(self, frame: Frame, made: Made | None) -> Pixels:
        """The frame's own crop; its middle where no face is."""
        if made is None:
            return _middle(frame.rgb(), self._side)
        size = made.crop.shape[0]
        height, width = frame.luma().shape
        box = alignment.region(made.affine, size, width, height)
        local = alignment.moved(made.affine, box[0], box[1])
        driver = alignment.warp_crop(frame.region_rgb(*box), local, size)
        # Beside the frame a crop repeats it mirrored, which is for networks and not for people.
        driver[alignment.inside(made.affine, size, width, height) == 0] = 0
        return _resized(driver, self._side)


def _resized(rgb: Pixels, side: int) -> Pixels:
    if rgb.shape[:2] == (side, side):
        return rgb
    way = cv2.INTER_AREA if rgb.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=way))


def _middle(rgb: Pixels, side: int) -> Pixels:
    """The largest square in the middle of a picture, at (side, side)."""
    height, width = rgb.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return _resized(rgb[top : top + edge, left : left + edge], side)
