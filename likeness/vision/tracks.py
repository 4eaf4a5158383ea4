"""Tracks: detections of one face linked through a shot by overlap and embedding."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Pairs = list[tuple[int, int]]
MIN_OVERLAP = 0.3
"""Intersection over union from which two boxes of neighbouring frames may be one face."""
MIN_COSINE = 0.1
"""Faces whose embeddings are further apart than this are never linked, wherever they stand."""
SURE_COSINE = 0.5
"""Faces that moved too far to overlap are linked from this cosine on ..."""
REACH = 1.5
"""... if their centres are no further apart than this many box sizes per frame."""
MAX_GAP_FRAMES = 15
"""A face unseen for more frames than this begins a new track."""


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union (N,M) of boxes (N,4) and (M,4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1) for box in (first, second)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.asarray(common / np.maximum(union, np.float32(1e-6)), np.float32)


def _nearness(first: Floats, second: Floats) -> Floats:
    """Distance of centres (N,M) in sizes of the larger box; small if scale agrees as well."""
    centres = [(box[:, :2] + box[:, 2:]) / 2 for box in (first, second)]
    sizes = [
        np.sqrt(np.prod(np.maximum(b[:, 2:] - b[:, :2], 1e-3), axis=1)) for b in (first, second)
    ]
    larger = np.maximum(sizes[0][:, None], sizes[1][None])
    smaller = np.minimum(sizes[0][:, None], sizes[1][None])
    distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) / larger
    return np.asarray(np.where(larger < 2 * smaller, distance, np.inf), np.float32)


def match(
    first: Floats,
    second: Floats,
    cosine: Floats | None = None,
    gap_frames: npt.NDArray[np.int64] | int = 1,
) -> Pairs:
    """One-to-one pairs of boxes (N,4) and (M,4) that show one face, best pair first.

    Args:
        first: boxes where the faces were seen last, or where they are expected.
        second: boxes of a later frame.
        cosine: (N,M) of their embeddings; None: unknown.
        gap_frames: frames between, one number or (N,).
    """
    if not len(first) or not len(second):
        return []
    overlap = overlaps(first, second)
    score, allowed = overlap.copy(), overlap >= MIN_OVERLAP
    if cosine is not None:
        gap = np.broadcast_to(np.asarray(gap_frames), (len(first),))[:, None]
        near = _nearness(first, second) <= REACH * np.minimum(gap, 3)
        allowed = (allowed & (cosine >= MIN_COSINE)) | ((cosine >= SURE_COSINE) & near)
        score = score + cosine
    pairs: Pairs = []
    rows, columns = np.nonzero(allowed)
    order = np.argsort(-score[rows, columns], kind="stable")
    taken: tuple[set[int], set[int]] = (set(), set())
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken[0] and column not in taken[1]:
            taken[0].add(row)
            taken[1].add(column)
            pairs.append((row, column))
    return pairs


@dataclass
class _Open:
    """A track that may still go on."""

    index: int
    bbox: Floats
    embedding: Floats
    frame_index: int
    shot_index: int
    velocity: Floats

    def expected(self, frame_index: int) -> Floats:
        """Box where the face would be if it kept its speed for a few frames."""
        return self.bbox + self.velocity * np.float32(min(frame_index - self.frame_index, 4))

    def extend(self, frame_index: int, bbox: Floats, embedding: Floats) -> None:
        """Take up the face of a later frame."""
        steps = np.float32(frame_index - self.frame_index)
        self.velocity = (bbox - self.bbox) / steps
        self.bbox, self.embedding, self.frame_index = bbox, embedding, frame_index


def leading(
    frame_index: npt.NDArray[np.integer],
    track_index: npt.NDArray[np.integer],
    size: npt.NDArray[np.floating],
) -> npt.NDArray[np.int64]:
    """Row of the face to show or measure in each frame that has any, by frame.

    Of several faces the one on the track that is larger over all its frames: the largest of each
    frame would jump between two of like size.

    Args:
        frame_index, track_index: (N,) of each face.
        size: (N,) of the face, in any unit.
    """
    if not len(frame_index):
        return np.zeros(0, np.int64)
    # Rounded, so that the order of summing cannot decide between equals.
    weight = np.round(np.bincount(track_index, size), 6)[track_index]
    order = np.lexsort((track_index, -weight, frame_index))
    frames = np.asarray(frame_index)[order]
    return order[np.concatenate([[True], frames[1:] != frames[:-1]])]


def link_tracks(
    frame_index: npt.NDArray[np.int32],
    bbox: Floats,
    embedding: Floats,
    shot_index: npt.NDArray[np.int32],
    max_gap_frames: int = MAX_GAP_FRAMES,
) -> npt.NDArray[np.int32]:
    """Track of each detection (N,), numbered from 0 by first appearance.

    Args:
        frame_index: (N,), ascending.
        bbox: (N,4), px.
        embedding: (N,D), unit length.
        shot_index: (N,) shot of each detection's frame; no track crosses a cut.
        max_gap_frames: frames that a face may be unseen.
    """
    track = np.full(len(frame_index), -1, np.int32)
    running: list[_Open] = []
    count = 0
    bounds = [*np.flatnonzero(np.diff(frame_index, prepend=-1)).tolist(), len(frame_index)]
    for start, stop in itertools.pairwise(bounds):
        frame, shot = int(frame_index[start]), int(shot_index[start])
        running = [
            known
            for known in running
            if known.shot_index == shot and frame - known.frame_index <= max_gap_frames
        ]
        boxes, vectors = bbox[start:stop], embedding[start:stop]
        for old, new in _continue(running, boxes, vectors, frame):
            running[old].extend(frame, boxes[new], vectors[new])
            track[start + new] = running[old].index
        for row in range(start, stop):
            if track[row] < 0:
                still = np.zeros(4, np.float32)
                running.append(_Open(count, bbox[row], embedding[row], frame, shot, still))
                track[row], count = count, count + 1
    return track


def _continue(running: list[_Open], boxes: Floats, vectors: Floats, frame: int) -> Pairs:
    """Pairs of running tracks and the boxes of one frame."""
    if not running:
        return []
    expected = np.stack([known.expected(frame) for known in running])
    cosine = np.stack([known.embedding for known in running]) @ vectors.T
    gaps = np.array([frame - known.frame_index for known in running])
    return match(expected, boxes, cosine, gaps)
