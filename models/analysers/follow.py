"""Faces on the frames between two that the detector has seen as a whole.

A face seen at both ends is looked at again (the detector in a window around it) as often as an
embedding is wanted; in between its mesh is followed where it moves, straight lines where it does
not. Where a face is seen at one end only, or has moved far, the frame in the middle is scanned as
well, and so on until its first or last frame is known.
One that the detector is unsure of at either end may come and go: it is looked for on every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from likeness.vision.tracks import match
from models.analysers.detector import suppress
from models.analysers.faces import Face, between, moved, overlap
from models.analysers.observer import Observer
from models.analysers.turned import APART_DEG, between_deg, roll_deg
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
STEADY = 0.6
"""Overlap of both ends of a stretch from which straight lines between them do."""
CONFIRMED = 0.75
"""Overlap of followed and expected box from which straight lines do on both sides of it."""
ALIKE = 0.98
"""Cosine of the embeddings at both ends of a steady stretch from which none is measured between."""
RESTLESS = 0.5
"""Overlap of a face's boxes on two scanned frames below which the frame between is scanned, too."""
SURE = 0.7
"""Score of the detector from which a face is taken to stay from frame to frame."""
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


@dataclass(frozen=True)
class Span:
    """Two sightings of one face, on the frames at positions `low` and `high` of a stretch."""

    low: int
    high: int
    first: Face
    last: Face

    @property
    def middle(self) -> int:
        """Position half-way."""
        return (self.low + self.high) // 2


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
        # Keyed by identity; the face is kept, so that its identity is not given to another.
        self._meshes: dict[tuple[int, int], tuple[Face, Floats, float]] = {}

    def fill(self, first: list[Face], last: list[Face]) -> list[list[Face]]:
        """Faces of all frames but the last, best score first, from the scans of both ends."""
        end = len(self._views) - 1
        self._fill(0, end, first, last)
        return [first, *[_distinct(faces) for faces in self._faces[1:end]]]

    def _fill(self, low: int, high: int, first: list[Face], last: list[Face]) -> None:
        """The frames between two scans."""
        if high - low < 2:
            return
        starts, ends = dict(enumerate(first)), dict(enumerate(last))
        pairs = [(starts.pop(i), ends.pop(j)) for i, j in self._pairs(low, high, first, last)]
        lone = [*starts.values(), *ends.values()]
        if any(face.det_score >= SURE for face in lone) or any(map(_restless, pairs)):
            middle = (low + high) // 2
            between_them = self._observer.scan(self._views[middle])
            self._faces[middle] = list(between_them)
            self._fill(low, middle, first, between_them)
            self._fill(middle, high, between_them, last)
            return
        for start, stop in pairs:
            self._pair(Span(low, high, start, stop))
        for face in starts.values():
            self._lone(face, low, high)
        for face in ends.values():
            self._lone(face, high, low)

    def _pairs(
        self, low: int, high: int, first: list[Face], last: list[Face]
    ) -> list[tuple[int, int]]:
        if not first or not last:
            return []
        boxes = [np.stack([face.bbox for face in faces]) for faces in (first, last)]
        vectors = [np.stack([face.embedding for face in faces]) for faces in (first, last)]
        gap = self._frame_index[high] - self._frame_index[low]
        return match(boxes[0], boxes[1], vectors[0] @ vectors[1].T, gap)

    def _expected(self, span: Span, at: int) -> Face:
        start, stop = self._frame_index[span.low], self._frame_index[span.high]
        return between(span.first, span.last, (self._frame_index[at] - start) / (stop - start))

    def _see(self, at: int, expected: Face, *, measure: bool = True) -> Face | None:
        face = self._observer.look(self._views[at], expected, measure=measure)
        if face is not None:
            self._faces[at].append(face)
        return face

    def _watch(self, at: int, since: int, expected: Face) -> Face | None:
        """Look for a face that may come and go; its embedding is measured now and then."""
        return self._see(at, expected, measure=abs(at - since) % self._sample_every == 0)

    def _pair(self, span: Span) -> None:
        """A face seen on both frames: sample it in the middle, or follow it."""
        if span.high - span.low < 2:
            return
        if min(span.first.det_score, span.last.det_score) < SURE:
            for at in range(span.low + 1, span.high):
                self._watch(at, span.low, self._expected(span, at))
        elif span.high - span.low <= self._sample_every or _alike(span):
            self._follow(span)
        else:
            self._split(span)

    def _split(self, span: Span) -> None:
        """Let the detector look at the middle frame; the face may be hidden there."""
        middle = span.middle
        seen = self._see(middle, self._expected(span, middle))
        if seen is None:
            self._lone(span.first, span.low, middle)
            self._lone(span.last, span.high, middle)
        else:
            self._pair(Span(span.low, middle, span.first, seen))
            self._pair(Span(middle, span.high, seen, span.last))

    def _lone(self, face: Face, at: int, gone: int) -> None:
        """A face seen on frame `at` but not on `gone`, which is before or behind it."""
        step = 1 if gone > at else -1
        if face.det_score < SURE:
            for position in range(at + step, gone, step):
                face = self._watch(position, at, face) or face
            return
        while abs(gone - at) > 1:
            middle = (at + gone) // 2
            seen = self._see(middle, face)
            if seen is None:
                gone = middle
                continue
            near, far = (face, seen) if step > 0 else (seen, face)
            self._pair(Span(min(at, middle), max(at, middle), near, far))
            at, face = middle, seen

    def _mesh(self, at: int, face: Face) -> tuple[Floats, float]:
        key = at, id(face)
        if key not in self._meshes:
            self._meshes[key] = (face, *self._observer.fit_mesh(self._views[at], face))
        return self._meshes[key][1:]

    def _straight(self, span: Span) -> None:
        for at in range(span.low + 1, span.high):
            self._faces[at].append(self._expected(span, at))

    def _follow(self, span: Span) -> None:
        """Carry a face over a short stretch by its mesh, as far as it moves."""
        if span.high - span.low < 2:
            return
        if overlap(span.first.bbox, span.last.bbox) >= STEADY:
            self._straight(span)
            return
        middle = span.middle
        expected = self._expected(span, middle)
        carried = self._carry(span, expected)
        if carried is None:
            self._split(span)
            return
        self._faces[middle].append(carried)
        confirmed = overlap(carried.bbox, expected.bbox) >= CONFIRMED
        go_on = self._straight if confirmed else self._follow
        go_on(Span(span.low, middle, span.first, carried))
        go_on(Span(middle, span.high, carried, span.last))

    def _carry(self, span: Span, expected: Face) -> Face | None:
        """The face on the middle frame by its mesh; None where the mesh shows no face."""
        ends = self._mesh(span.low, span.first), self._mesh(span.high, span.last)
        mesh, score = self._mesh(span.middle, expected)
        if min(score, ends[0][1], ends[1][1]) < MESH_SCORE:
            return None
        start, stop = self._frame_index[span.low], self._frame_index[span.high]
        share = np.float32((self._frame_index[span.middle] - start) / (stop - start))
        before, after = _relative(span.first, ends[0][0]), _relative(span.last, ends[1][0])
        corners = before[0] * (1 - share) + after[0] * share
        offsets = before[1] * (1 - share) + after[1] * share
        low, size = _extent(mesh)
        bbox = (low + corners * size).reshape(4)
        carried = moved(expected, bbox, five_points(mesh) + offsets * size)
        self._meshes[span.middle, id(carried)] = carried, mesh, score
        return carried


def _alike(span: Span) -> bool:
    """Whether a face hardly moves and looks the same at both ends."""
    steady = overlap(span.first.bbox, span.last.bbox) >= STEADY
    return steady and float(span.first.embedding @ span.last.embedding) >= ALIKE


def _restless(pair: tuple[Face, Face]) -> bool:
    """Whether so much moves that other faces may come and go between two scans, or it turns."""
    if overlap(pair[0].bbox, pair[1].bbox) < RESTLESS:
        return True
    if not (pair[0].mesh_agrees and pair[1].mesh_agrees):
        return False
    turns = [roll_deg(face.landmarks_5) for face in pair]
    return between_deg(*turns) > APART_DEG


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
