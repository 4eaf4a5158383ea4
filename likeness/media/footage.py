"""Footage as a stream of frames: a video file or a folder of stills.

Every frame is counted, in presentation order; one that cannot be decoded comes with
`decoded=False`. The same file gives the same bytes each time, whatever the number of threads.
Nothing is converted until it is asked for, and nothing is kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from likeness.contracts import environment
from likeness.contracts.errors import FootageError
from likeness.media import probe
from likeness.media.colour import (
    Planes,
    even_box,
    rgb_to_yuv420,
    yuv420_region_to_rgb,
    yuv420_to_rgb,
)
from likeness.media.container import open_container, video_stream
from likeness.media.decode import Picture, pictures
from likeness.media.pictures import read_image
from likeness.media.planes import stored_planes, upright
from likeness.media.stills import is_still, list_stills

U8 = npt.NDArray[np.uint8]


class Frame:
    """One frame of footage, upright.

    Attributes:
        frame_index: position in presentation order, from 0.
        pts: presentation time in units of the footage's time base.
        pts_s: the same in seconds.
        decoded: False: nothing can be seen of this frame; asking for px raises FootageError.
        damaged: True: px are there, but the decoder had to make up a part of them.
    """

    def __init__(self, footage: Footage, frame_index: int, pts: int) -> None:
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

    def planes(self) -> Planes:
        """Planes y (H,W), u and v (ceil(H/2), ceil(W/2)), uint8, read-only; 4:2:0."""
        if self._planes is None:
            self._planes = self._load()
        return self._planes

    def luma(self) -> U8:
        """Luma (H,W) uint8, read-only, in the footage's range."""
        return self.planes()[0]

    def rgb(self) -> U8:
        """RGB uint8 (H,W,3)."""
        if self._rgb is None:
            facts = self._footage.facts
            self._rgb = yuv420_to_rgb(self.planes(), facts["colour_space"], facts["colour_range"])
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


class _VideoFrame(Frame):
    def __init__(self, footage: _Video, frame_index: int, picture: Picture) -> None:
        super().__init__(footage, frame_index, picture.pts)
        self.decoded = picture.frame is not None
        self.damaged = picture.damaged
        self._video = footage
        self._stored = picture.frame

    def _load(self) -> Planes:
        if self._stored is None:
            return super()._load()
        planes = stored_planes(self._stored, self._footage.facts, self._video.reformatter)
        self._stored = None
        return upright(planes, self._video.orientation)


class _Still(Frame):
    def __init__(self, footage: Footage, frame_index: int, rgb: U8 | None) -> None:
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


class Footage(ABC):
    """A video file or a folder of stills; see `open_footage`.

    Attributes:
        path: the file or folder.
        facts: kind ("video" or "stills"), width_px and height_px (upright), rotation_deg
            (clockwise turn applied), mirrored, time_base and average_rate as [n, d], codec,
            pixel_format (as stored), audio_streams, frames_hint (an estimate),
            sample_aspect_ratio, colour_space (a name of media.colour), colour_range ("limited",
            "full"), colour_tags (H.273 numbers as stored).
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts

    @abstractmethod
    def _read(self) -> Iterator[Frame]:
        """All frames in presentation order."""

    def frames(self, wanted: Collection[int] | None = None) -> Iterator[Frame]:
        """Frames in presentation order; may be called again, and starts anew then.

        Args:
            wanted: indices to yield; None for all. Reading ends behind the last of them.

        Raises:
            FootageError: the footage changes its size midway.
        """
        if wanted is None:
            yield from self._read()
            return
        chosen = frozenset(wanted)
        last = max(chosen, default=-1)
        if last < 0:
            return
        for frame in self._read():
            if frame.frame_index in chosen:
                yield frame
            if frame.frame_index >= last:
                return

    def __enter__(self) -> Footage:
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027  # no kind has anything to close
        """Nothing stays open between reads."""


class _Video(Footage):
    def __init__(self, path: Path, decode_threads: int, draft: bool) -> None:
        with open_container(path) as container:
            facts, self.orientation = probe.video_facts(path, container)
            depth = video_stream(container).codec_context.reorder_depth
        super().__init__(path, facts)
        self.reformatter = VideoReformatter()
        self._reorder_depth = int(depth)
        self._threads, self._draft = decode_threads, draft

    def _read(self) -> Iterator[Frame]:
        read = pictures(self.path, self._reorder_depth, self._threads, draft=self._draft)
        for index, picture in enumerate(read):
            yield _VideoFrame(self, index, picture)


class _Stills(Footage):
    def __init__(self, path: Path) -> None:
        super().__init__(path, probe.stills_facts(path))

    def _read(self) -> Iterator[Frame]:
        for index, still in enumerate(list_stills(self.path)):
            try:
                rgb: U8 | None = read_image(still)
            except FootageError:
                rgb = None  # a counted frame with decoded=False
            yield _Still(self, index, rgb)


def open_footage(path: Path, decode_threads: int | None = None, *, draft: bool = False) -> Footage:
    """Open a video file, a still, or a folder of stills (`media.stills`), which may differ in size.

    Args:
        decode_threads: None: what the environment allows. Who keeps the cores busy beside takes
            fewer: each thread more costs a tenth of the decoder's time. Frames are the same.
        draft: leave the edges of blocks in frames that no other refers to, which nobody will
            look at; a tenth of the decoder's time. The same frames each time.

    Raises:
        FootageError: missing, empty, no video, sound only, or no frame that can be decoded.
    """
    if path.is_dir() or is_still(path):
        return _Stills(path)
    threads = environment.threads() if decode_threads is None else decode_threads
    return _Video(path, threads, draft)
