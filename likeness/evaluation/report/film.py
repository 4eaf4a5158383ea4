"""A short film for the report: target left, render right, small, with the clip's own times.

Of a clip that is longer than the film the beginning, the middle and the end are shown.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from likeness.media.encode import StreamFacts, VideoWriter
from likeness.media.footage import Footage
from likeness.media.frame import Frame
from likeness.vision.squares import Squares

SIDE_PX = 448
CRF, PRESET = 26.0, "ultrafast"
MOST_BYTES = 6_000_000
"""A film ends when it has grown to this, so that the page stays a file one can send."""
RUNS, SHORTEST_RUN = 3, 12
"""Parts of a film of a long clip, and frames below which a part shows no motion."""


def runs_of(faces: npt.NDArray[np.integer], frames: int) -> tuple[range, ...]:
    """Which frames to show, at most `frames` of them, as runs that follow each other.

    From the first face on where that reaches the last one. Else the beginning, middle and end of
    what has faces: a swap that fails late fails in the film, too, and motion needs frames in a row.

    Args:
        faces: (T,) number of faces in each frame.
        frames: 0 for none.
    """
    there = np.flatnonzero(faces)
    first = int(there[0]) if len(there) else 0
    if not len(there) or there[-1] - first < frames or frames < RUNS * SHORTEST_RUN:
        return (range(first, min(first + frames, len(faces))),) if frames else ()
    length = frames // RUNS
    last = int(there[-1]) + 1 - length
    middle = int(there[len(there) // 2]) - length // 2
    middle = min(max(middle, first + length), last - length)
    return tuple(range(start, start + length) for start in (first, middle, last))


def spans(frames: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each stretch of rising `frames` without a gap."""
    listed = np.asarray(frames, np.int64)
    if not len(listed):
        return []
    cuts = np.flatnonzero(np.diff(listed) != 1)
    ends = zip([0, *(cuts + 1)], [*cuts, len(listed) - 1], strict=True)
    return [(int(listed[a]), int(listed[b])) for a, b in ends]


@dataclass(frozen=True)
class Reel:
    """A finished film and which frames of the clip it shows.

    Attributes:
        content: MP4; empty for none.
        frames: frame_index of each picture.
        times_s: when it is shown, the first at 0; nothing is waited for between two runs.
    """

    content: bytes
    frames: tuple[int, ...]
    times_s: tuple[float, ...]


class Film:
    """Takes frames in order and keeps some of them as MP4; memory holds what comes out alone.

    Args:
        target: gives time base and colour tags.
        runs: frames to take, as `runs_of` gives them; none makes no film.

    Attributes:
        wanted: index of each frame to take -> the run that it is of.
    """

    def __init__(self, target: Footage, runs: Sequence[range]) -> None:
        width, height = Squares.of(target.facts).size
        scale = min(1.0, SIDE_PX / max(width, height))
        # Even, so that chroma halves without a rest.
        self.size = (max(round(width * scale / 2), 1) * 2, max(round(height * scale / 2), 1) * 2)
        # A bilinear map folds nothing over down to half the size, and takes a fifth of the time.
        self._how = cv2.INTER_LINEAR if scale >= 0.5 else cv2.INTER_AREA
        self.wanted = {index: run for run in runs for index in run}
        base, rate = target.facts["time_base"], target.facts["average_rate"]
        self._second = base[1] / base[0]
        self._step = max(round(self._second * rate[1] / rate[0]), 1)
        self._taken: list[tuple[int, int]] = []
        self._before: Frame | None = None
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "film.mp4"
        facts = target.facts | {"width_px": 2 * self.size[0], "height_px": self.size[1]}
        facts["sample_aspect_ratio"] = [1, 1]
        small = StreamFacts(target.path, facts)
        self._writer = VideoWriter(self._path, small, CRF, PRESET, audio=False)

    def frame(self, target: Frame, render: Frame) -> None:
        """Take a frame if it is one of those wanted."""
        if target.frame_index not in self.wanted or self._is_full():
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
        # From 0 on: players differ in what they do with a start that is later.
        self._taken.append((target.frame_index, self._when(target)))
        self._writer.write(y, u, v, self._taken[-1][1])

    def _when(self, frame: Frame) -> int:
        """Its time in the film, in units of the footage's time base."""
        before, self._before = self._before, frame
        if before is None:
            return 0
        together = self.wanted[before.frame_index] == self.wanted[frame.frame_index]
        passed = frame.pts - before.pts if together else self._step
        return self._taken[-1][1] + passed

    def _is_full(self) -> bool:
        # The encoder answers in step with what it is given: the same frames end it each time.
        # The file is there from the first encoded picture on.
        return self._path.is_file() and self._path.stat().st_size >= MOST_BYTES

    def finish(self) -> Reel:
        """The film; empty if no frame was taken."""
        self._writer.close()
        content = self._path.read_bytes() if self._writer.frames else b""
        self._folder.cleanup()
        times = tuple(round(pts / self._second, 6) for _, pts in self._taken)
        return Reel(content, tuple(index for index, _ in self._taken), times)
