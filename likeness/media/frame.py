"""One frame of footage: nothing of it is converted until it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media.colour import (
    Planes,
    even_box,
    rgb_to_yuv420,
    yuv420_region_to_rgb,
    yuv420_to_rgb,
)
from likeness.media.planes import (
    HALVED_FORMATS,
    stored_planes,
    stored_rgb,
    upright,
    upright_rgb,
)
from likeness.media.probe import Orientation

U8 = npt.NDArray[np.uint8]


class Described(Protocol):
    """What a frame is of, and what a video is modelled on: `Footage`, or its facts alone."""

    @property
    def path(self) -> Path:
        """The file or folder: for messages, and where the sound comes from."""

    @property
    def facts(self) -> dict[str, Any]:
        """Size, time base, rate, tags and sound, as `Footage.facts` names them."""


class Frame:
    """One frame of footage, upright.

    Attributes:
        frame_index: position in presentation order, from 0.
        pts: presentation time in units of the footage's time base.
        pts_s: the same in seconds.
        decoded: False: nothing can be seen of this frame; asking for px raises FootageError.
        damaged: True: px are there, but the decoder had to make up a part of them.
    """

    def __init__(self, footage: Described, frame_index: int, pts: int) -> None:
        numerator, denominator = footage.facts["time_base"]
        self.frame_index = frame_index
        self.pts = pts
        self.pts_s = pts * numerator / denominator
        self.decoded = False
        self.damaged = False
        self._footage = footage
        self._planes: Planes | None = None
        self._rgb: U8 | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px; stills of one folder may differ."""
        return self._footage.facts["width_px"], self._footage.facts["height_px"]

    def _load(self) -> Planes:
        problem = f"frame {self.frame_index} cannot be decoded"
        raise FootageError(self._footage.path, problem, "skip frames whose `decoded` is false")

    def _load_rgb(self) -> U8:
        facts = self._footage.facts
        return yuv420_to_rgb(self.planes(), facts["colour_space"], facts["colour_range"])

    def planes(self) -> Planes:
        """Planes y (H,W), u and v (ceil(H/2), ceil(W/2)), uint8, read-only; 4:2:0."""
        if self._planes is None:
            self._planes = self._load()
        return self._planes

    def luma(self) -> U8:
        """Luma (H,W) uint8, read-only, in the footage's range."""
        return self.planes()[0]

    def rgb(self) -> U8:
        """RGB uint8 (H,W,3), of all that the file stores: not by way of 4:2:0 (media.planes)."""
        if self._rgb is None:
            self._rgb = self._load_rgb()
        return self._rgb

    def region_rgb(self, x0: int, y0: int, x1: int, y1: int) -> U8:
        """RGB of a box (px, end exclusive), clipped to the frame; cheap for a small box."""
        facts = self._footage.facts
        width, height = facts["width_px"], facts["height_px"]
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        if x1 <= x0 or y1 <= y0:
            return np.zeros((max(y1 - y0, 0), max(x1 - x0, 0), 3), np.uint8)
        box = even_box((x0, y0, x1, y1), width, height)
        spaces = facts["colour_space"], facts["colour_range"]
        region = yuv420_region_to_rgb(self.planes(), box, *spaces)
        return region[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]


class StoredFrame(Frame):
    """A frame as a decoder gave it, or None for one that it did not give.

    Args:
        footage: what it is of.
        frame_index: see `Frame`.
        pts: see `Frame`.
        picture: PyAV's, as stored.
        orientation: how it stands upright.
        reformatter: of the footage; keeps what swscale prepared.
    """

    def __init__(
        self,
        footage: Described,
        frame_index: int,
        pts: int,
        picture: Any | None,
        *,
        orientation: Orientation,
        reformatter: VideoReformatter,
    ) -> None:
        super().__init__(footage, frame_index, pts)
        self.decoded = picture is not None
        self._stored, self._orientation, self._reformatter = picture, orientation, reformatter
        self._halved = picture is None or picture.format.name in HALVED_FORMATS

    def _load(self) -> Planes:
        if self._stored is None:
            return super()._load()
        planes = stored_planes(self._stored, self._footage.facts, self._reformatter)
        if self._halved:
            self._stored = None  # nothing will be asked of it again
        return upright(planes, self._orientation)

    def _load_rgb(self) -> U8:
        if self._halved or self._stored is None:
            return super()._load_rgb()
        rgb = stored_rgb(self._stored, self._footage.facts, self._reformatter)
        return upright_rgb(rgb, self._orientation)

    def region_rgb(self, x0: int, y0: int, x1: int, y1: int) -> U8:
        """RGB of a box (px, end exclusive), clipped to the frame."""
        if self._halved:
            return super().region_rgb(x0, y0, x1, y1)
        return self.rgb()[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]


class StillFrame(Frame):
    """A still, or None for one that cannot be read; its pts is its index."""

    def __init__(self, footage: Described, frame_index: int, rgb: U8 | None) -> None:
        super().__init__(footage, frame_index, frame_index)
        self.decoded = rgb is not None
        self._rgb = rgb

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of this picture, px."""
        return super().size if self._rgb is None else (self._rgb.shape[1], self._rgb.shape[0])

    def _load(self) -> Planes:
        if self._rgb is None:
            return super()._load()
        facts = self._footage.facts
        return rgb_to_yuv420(self._rgb, facts["colour_space"], facts["colour_range"])

    def rgb(self) -> U8:
        """RGB uint8 (H,W,3), as in the file."""
        if self._rgb is None:
            super()._load()
        return super().rgb()

    def region_rgb(self, x0: int, y0: int, x1: int, y1: int) -> U8:
        """RGB of a box (px, end exclusive), clipped to the frame."""
        return self.rgb()[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
