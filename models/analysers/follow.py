"""Faces on the frames between two that the detector has seen as a whole.

A face seen at both ends is looked at again (the detector in a window around it) as often as an
embedding is wanted; in between its mesh is followed where it moves, straight lines where it does
not. A face seen at one end only is looked for by bisection until its first or last frame is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from likeness.vision.tracks import match
from models.analysers.detector import suppress
from models.analysers.faces import Face, between, moved, overlap
from models.analysers.observer import Observer
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
STEADY = 0.96
"""Overlap of both ends of a stretch from which straight lines between them do."""
CONFIRMED = 0.95
"""Overlap of followed and expected box from which straight lines do on both sides of it."""
MESH_SCORE = 0.5
"""A mesh below this shows no face: hidden, or turned away."""
# Vertices in the places of the five points: corners of the eyes, tip of the nose, of the mouth.
_FIVE = ((33, 133), (263, 362), (1, 1), (61, 61), (291, 291))


def five_points(mesh: Floats) -> Floats:
    """Five points (5,2) of a mesh (468,2), image-left eye first."""
    pairs = mesh[np.array(_FIVE)]
    return pairs.mean(axis=1)


def _extent(mesh: Floats) -> tuple[Floats, Floats]:
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    return low, np.maximum(high - low, 1.0)


def _relative(face: Face, mesh: Floats) -> tuple[Floats, Floats]:
    """The box's corners and the five points as the detector puts them on this mesh.

    Corners (2,2) in units of the mesh's extent, offsets of the points (5,2) likewise.
    """
    low, size = _extent(mesh)
    corners = (face.bbox.reshape(2, 2) - low) / size
    return corners, (face.landmarks_5 - five_points(mesh)) / size


class Stretch:
    """Frames from one scan to the next, both included.

    Args:
        observer: runs the networks.
        views: the frames.
        frame_index: of each frame; unreadable ones are left out, so that steps may differ.
        sample_every: frames between two measured embeddings of a face, at most.
    """

    def __init__(
        self,
        observer: Observer,
        views: Sequence[View],
        frame_index: Sequence[int],
        sample_every: int,
    ) -> None:
        self._observer = observer
        self._views = views
        self._frame_index = frame_index
        self._sample_every = sample_every
        self._faces: list[list[Face]] = [[] for _ in views]
        self._meshes: dict[tuple[int, int], tuple[Floats, float]] = {}

    def fill(self, first: list[Face], last: list[Face]) -> list[list[Face]]:
        """Faces of all frames but the last, best score first, from the scans of both ends."""
        end = len(self._views) - 1
        pairs = self._pairs(first, last)
        starts, ends = {start for start, _ in pairs}, {stop for _, stop in pairs}
        for start, stop in pairs:
            self._pair(0, end, first[start], last[stop])
        for index, face in enumerate(first):
            if index not in starts:
                self._leaving(0, end, face)
        for index, face in enumerate(last):
            if index not in ends:
                self._entering(0, end, face)
        return [first, *[_distinct(faces) for faces in self._faces[1:end]]]

    def _pairs(self, first: list[Face], last: list[Face]) -> list[tuple[int, int]]:
        if not first or not last:
            return []
        boxes = [np.stack([face.bbox for face in faces]) for faces in (first, last)]
        vectors = [np.stack([face.embedding for face in faces]) for faces in (first, last)]
        gap = self._frame_index[-1] - self._frame_index[0]
        return match(boxes[0], boxes[1], vectors[0] @ vectors[1].T, gap)

    def _share(self, low: int, at: int, high: int) -> float:
        start, stop = self._frame_index[low], self._frame_index[high]
        return (self._frame_index[at] - start) / (stop - start)

    def _see(self, at: int, expected: Floats) -> Face | None:
        face = self._observer.look(self._views[at], expected)
        if face is not None:
            self._faces[at].append(face)
        return face

    def _pair(self, low: int, high: int, first: Face, last: Face) -> None:
        """A face seen on both frames: sample it in the middle, or follow it."""
        if high - low < 2:
            return
        if high - low <= self._sample_every:
            self._follow(low, high, first, last)
            return
        middle = (low + high) // 2
        expected = between(first, last, self._share(low, middle, high))
        self._split(low, middle, high, first, last, expected)

    def _split(
        self, low: int, middle: int, high: int, first: Face, last: Face, expected: Face
    ) -> None:
        """Let the detector look at the middle frame; the face may be hidden there."""
        seen = self._see(middle, expected.bbox)
        if seen is None:
            self._leaving(low, middle, first)
            self._entering(middle, high, last)
        else:
            self._pair(low, middle, first, seen)
            self._pair(middle, high, seen, last)

    def _leaving(self, low: int, high: int, face: Face) -> None:
        """A face seen on frame `low` but not on `high`."""
        while high - low > 1:
            middle = (low + high) // 2
            seen = self._see(middle, face.bbox)
            if seen is None:
                high = middle
            else:
                self._pair(low, middle, face, seen)
                low, face = middle, seen

    def _entering(self, low: int, high: int, face: Face) -> None:
        """A face seen on frame `high` but not on `low`."""
        while high - low > 1:
            middle = (low + high) // 2
            seen = self._see(middle, face.bbox)
            if seen is None:
                low = middle
            else:
                self._pair(middle, high, seen, face)
                high, face = middle, seen

    def _mesh(self, at: int, face: Face) -> tuple[Floats, float]:
        key = at, id(face)
        if key not in self._meshes:
            self._meshes[key] = self._observer.fit_mesh(self._views[at], face)
        return self._meshes[key]

    def _straight(self, low: int, high: int, first: Face, last: Face) -> None:
        for at in range(low + 1, high):
            self._faces[at].append(between(first, last, self._share(low, at, high)))

    def _follow(self, low: int, high: int, first: Face, last: Face) -> None:
        """Carry a face over a short stretch by its mesh, as far as it moves."""
        if high - low < 2:
            return
        if overlap(first.bbox, last.bbox) >= STEADY:
            self._straight(low, high, first, last)
            return
        middle = (low + high) // 2
        share = self._share(low, middle, high)
        expected = between(first, last, share)
        carried = self._carry(low, middle, high, first, last, expected, share)
        if carried is None:
            self._split(low, middle, high, first, last, expected)
            return
        self._faces[middle].append(carried)
        confirmed = overlap(carried.bbox, expected.bbox) >= CONFIRMED
        go_on = self._straight if confirmed else self._follow
        go_on(low, middle, first, carried)
        go_on(middle, high, carried, last)

    def _carry(
        self,
        low: int,
        middle: int,
        high: int,
        first: Face,
        last: Face,
        expected: Face,
        share: float,
    ) -> Face | None:
        """The face on the middle frame by its mesh; None where the mesh shows no face."""
        meshes = [self._mesh(low, first), self._mesh(middle, expected), self._mesh(high, last)]
        if min(score for _, score in meshes) < MESH_SCORE:
            return None
        corners, offsets = (
            a * np.float32(1 - share) + b * np.float32(share)
            for a, b in zip(
                _relative(first, meshes[0][0]), _relative(last, meshes[2][0]), strict=True
            )
        )
        mesh = meshes[1][0]
        start, size = _extent(mesh)
        carried = moved(
            expected, (start + corners * size).reshape(4), five_points(mesh) + offsets * size
        )
        self._meshes[middle, id(carried)] = meshes[1]
        return carried


def _distinct(faces: list[Face]) -> list[Face]:
    """Faces of a frame, best first, without those that two traces found twice."""
    if len(faces) < 2:
        return faces
    # What the detector saw comes before what was carried.
    ordered = sorted(faces, key=lambda face: (face.followed, -face.det_score))
    bbox = np.stack([face.bbox for face in ordered])
    rank = -np.arange(len(ordered), dtype=np.float32)
    kept = [ordered[index] for index in suppress(bbox, rank)]
    return sorted(kept, key=lambda face: -face.det_score)
