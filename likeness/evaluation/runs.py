"""Frames in a row: three meshes for jitter, three frames on which baselines are measured."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future

from likeness.evaluation import sampling
from likeness.evaluation.face import Face, FaceRow, Task
from likeness.evaluation.reference import Reference
from likeness.metrics.subjects import Run

Submitted = tuple[Task, Future[Face]]
"""A frame whose face is being measured."""


class Triples:
    """The last three measured faces, as long as they follow each other."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, Face]] = deque(maxlen=len(sampling.RUN))

    def add(self, index: int, face: Face) -> tuple[int, Run] | None:
        """Add a face with its meshes; the middle frame and the run that it ends, if it does."""
        self._recent.append((index, face))
        if len(self._recent) < len(sampling.RUN):
            return None
        (a, first), (b, second), (c, third) = self._recent
        lines = {(f.row.shot_index, f.row.track_index) for f in (first, second, third)}
        if not c - b == b - a == 1 or len(lines) > 1:
            return None
        render, target = ([f.meshes[i] for f in (first, second, third)] for i in (0, 1))
        return b, Run(render, target)


class Runs:
    """Puts together the frames on which baselines are measured.

    Args:
        middles: middle frames of the runs.
        reference: which of them have neighbours.
    """

    def __init__(self, middles: set[int], reference: Reference) -> None:
        self._middles, self._reference = middles, reference
        self._open: list[Submitted] = []
        self._before: Submitted | None = None

    def before(self, index: int, row: FaceRow) -> Task | None:
        """The frame before, if it shows the same face."""
        if self._before is None:
            return None
        task = self._before[0]
        line = (task.row.shot_index, task.row.track_index) == (row.shot_index, row.track_index)
        return task if task.target.frame_index == index - 1 and line else None

    def add(self, measured: Submitted) -> list[Submitted]:
        """Add the next frame; a run that it completes or cuts short, else nothing."""
        task = measured[0]
        index = task.target.frame_index
        before = self.before(index, task.row)
        ended: list[Submitted] = []
        if self._open:
            follows = before is not None and task.level != sampling.FACE
            ended = self._closed(measured if follows else None)
        if index in self._middles:
            linked = before is not None and before.level != sampling.FACE
            linked = linked and self._reference.stored[index].frames > 1
            self._open = [self._before, measured] if self._before and linked else [measured]
        self._before = measured
        return ended

    def finish(self) -> list[Submitted]:
        """The run that still waits, if there is one."""
        return self._closed(None) if self._open else []

    def _closed(self, after: Submitted | None) -> list[Submitted]:
        """The open run, ended by `after`; its middle alone where a neighbour is missing."""
        run, self._open = self._open, []
        return [*run, after] if len(run) == 2 and after is not None else [run[-1]]
