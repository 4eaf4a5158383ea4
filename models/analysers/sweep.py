"""All faces of a clip's frames: scans ahead, the frames between them behind, on all threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts import environment
from models.analysers.faces import Face, moved
from models.analysers.follow import Stretch
from models.analysers.observer import Observer
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
FACE_PX = 112
"""Side to which a face's luma is brought before its sharpness is measured."""
STRETCHES_AHEAD = 2
"""Stretches in work per thread; bounds memory."""


def scanned_frames(shot_index: npt.NDArray[np.int32], every: int) -> npt.NDArray[np.bool_]:
    """Which frames (N,) are seen as a whole: each `every`-th of a shot, its first and its last."""
    count = len(shot_index)
    if not count:
        return np.zeros(0, np.bool_)
    cut = np.flatnonzero(np.diff(shot_index)) + 1
    chosen = np.zeros(count, np.bool_)
    for start, stop in zip([0, *cut], [*cut, count], strict=True):
        chosen[start:stop:every] = True
        chosen[stop - 1] = True
    return chosen


def face_sharpness(luma: npt.NDArray[np.uint8], bbox: Floats) -> float:
    """Variance of the Laplacian of the face's luma, resampled to 112 px; 0 beside the frame."""
    height, width = luma.shape
    x0, y0 = max(int(bbox[0]), 0), max(int(bbox[1]), 0)
    x1, y1 = min(int(bbox[2]) + 1, width), min(int(bbox[3]) + 1, height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return 0.0
    small = cv2.resize(luma[y0:y1, x0:x1], (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA)
    deviation = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))[1]
    return float(deviation[0, 0] ** 2)


@dataclass
class Found:
    """Faces of some frames, in order, ready for the table: boxes and points in stored px."""

    frame_index: list[int] = field(default_factory=list)
    faces: list[list[Face]] = field(default_factory=list)
    sharpness: list[list[float]] = field(default_factory=list)

    def add(self, frame_index: int, faces: list[Face], view: View) -> None:
        """Append one frame; faces in px of the view."""
        if not view.squares.square:
            faces = [_as_stored(face, view) for face in faces]
        self.frame_index.append(frame_index)
        self.faces.append(faces)
        self.sharpness.append([face_sharpness(view.luma, face.bbox) for face in faces])


def _as_stored(face: Face, view: View) -> Face:
    bbox = view.squares.stored(face.bbox.reshape(2, 2)).reshape(4)
    return moved(face, bbox, view.squares.stored(face.landmarks_5))


@dataclass
class _Open:
    """A stretch that begins with a scanned frame and grows until the next one."""

    scan: Future[list[Face]]
    views: list[View]
    frame_index: list[int]
    next_scan: Future[list[Face]] | None = None


def _work(stretch: _Open, observer: Observer, sample_every: int) -> Found:
    """Faces of all frames of a stretch but the last; of a single frame its own."""
    first, found = stretch.scan.result(), Found()
    last = stretch.next_scan.result() if stretch.next_scan is not None else []
    filler = Stretch(observer, stretch.views, stretch.frame_index, sample_every)
    per_frame = filler.fill(first, last)
    for index, faces in enumerate(per_frame):
        found.add(stretch.frame_index[index], faces, stretch.views[index])
    return found


def _stretches(
    frames: Iterable[tuple[int, View]],
    scanned: dict[int, int],
    scan: Callable[[View], Future[list[Face]]],
) -> Iterator[_Open]:
    """Group frames into stretches, scanning their ends on the way.

    Args:
        scanned: frame index -> shot index of the frames to scan.
        scan: begins a scan.
    """
    running: _Open | None = None
    shot = -1
    for frame_index, view in frames:
        if running is not None:
            running.views.append(view)
            running.frame_index.append(frame_index)
        if frame_index not in scanned:
            continue
        begun = scan(view)
        if running is not None and scanned[frame_index] == shot:
            running.next_scan = begun
        if running is not None:
            yield running
        running, shot = _Open(begun, [view], [frame_index]), scanned[frame_index]
    if running is not None:
        yield running


def find_faces(
    frames: Iterable[tuple[int, View]],
    scanned: dict[int, int],
    observer: Observer,
    sample_every: int,
) -> Iterator[Found]:
    """Faces of all frames, in order, in pieces; on as many threads as the environment allows.

    Args:
        frames: (frame index, view), ascending.
        scanned: frame index -> shot index of the frames that are scanned as a whole; holds the
            first and last of every shot.
        observer: runs the networks.
        sample_every: frames between two measured embeddings of a face, at most.
    """
    threads = environment.threads()
    with ThreadPoolExecutor(threads) as executor:

        def scan(view: View) -> Future[list[Face]]:
            return executor.submit(observer.scan, view)

        waiting: deque[_Open] = deque()
        working: deque[Future[Found]] = deque()
        for stretch in _stretches(frames, scanned, scan):
            # One stretch later, so that no thread waits for a scan that has just begun.
            waiting.append(stretch)
            if len(waiting) > 1:
                working.append(executor.submit(_work, waiting.popleft(), observer, sample_every))
            while len(working) > STRETCHES_AHEAD * threads:
                yield working.popleft().result()
        working.extend(executor.submit(_work, one, observer, sample_every) for one in waiting)
        while working:
            yield working.popleft().result()
