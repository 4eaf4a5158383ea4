"""A short film for the report: target left, render right, small, with the clip's own times."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from likeness.media.encode import Model, VideoWriter
from likeness.media.footage import Footage, Frame

SIDE_PX = 448
CRF, PRESET = 26.0, "ultrafast"
MOST_BYTES = 6_000_000
"""A film ends when it has grown to this, so that the page stays a file one can send."""


@dataclass(frozen=True)
class Reel:
    """A finished film and which frames of the clip it shows.

    Attributes:
        content: MP4; empty for none.
        frames: frame_index of each picture.
        times_s: when it is shown, the first at 0.
    """

    content: bytes
    frames: tuple[int, ...]
    times_s: tuple[float, ...]


class Film:
    """Takes frames in order and keeps some of them as MP4; memory holds what comes out alone.

    Args:
        target: gives time base and colour tags.
        first: index of the first frame to take.
        frames: number of frames to take; 0 makes no film.
    """

    def __init__(self, target: Footage, first: int, frames: int) -> None:
        width, height = target.facts["width_px"], target.facts["height_px"]
        scale = min(1.0, SIDE_PX / max(width, height))
        # Even, so that chroma halves without a rest.
        self.size = (max(round(width * scale / 2), 1) * 2, max(round(height * scale / 2), 1) * 2)
        # A bilinear map folds nothing over down to half the size, and takes a fifth of the time.
        self._how = cv2.INTER_LINEAR if scale >= 0.5 else cv2.INTER_AREA
        self._span = range(first, first + frames)
        self._taken: list[tuple[int, int, float]] = []
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "film.mp4"
        facts = target.facts | {"width_px": 2 * self.size[0], "height_px": self.size[1]}
        small = Model(target.path, facts)
        self._writer = VideoWriter(self._path, small, CRF, PRESET, audio=False)

    def frame(self, target: Frame, render: Frame) -> None:
        """Take a frame if it is one of those wanted."""
        if target.frame_index not in self._span or self._is_full():
            return
        width, height = self.size
        half = (width // 2, height // 2)
        y, u, v = (
            np.concatenate(
                [cv2.resize(plane, size, interpolation=self._how) for plane in pair], axis=1
            )
            for pair, size in zip(
                zip(target.planes(), render.planes(), strict=True),
                ((width, height), half, half),
                strict=True,
            )
        )
        self._taken.append((target.frame_index, target.pts, target.pts_s))
        # From 0 on: players differ in what they do with a start that is later.
        self._writer.write(y, u, v, target.pts - self._taken[0][1])

    def _is_full(self) -> bool:
        # The encoder answers in step with what it is given: the same frames end it each time.
        # The file is there from the first encoded picture on.
        return self._path.is_file() and self._path.stat().st_size >= MOST_BYTES

    def finish(self) -> Reel:
        """The film; empty if no frame was taken."""
        self._writer.close()
        content = self._path.read_bytes() if self._writer.frames else b""
        self._folder.cleanup()
        times = tuple(round(t - self._taken[0][2], 6) for _, _, t in self._taken)
        return Reel(content, tuple(index for index, _, _ in self._taken), times)
