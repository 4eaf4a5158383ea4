"""A swap scored frame by frame: memory stays the same however long the clip is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.per_frame import SCORES
from likeness.media.footage import Frame
from likeness.metrics import fidelity, identity, sampling, scores, views
from likeness.metrics.scores import Face, Networks, Scores
from likeness.metrics.views import View
from likeness.vision import alignment
from likeness.vision.alignment import Affine

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
BATCH = 8


class Watcher(Protocol):
    """Keeps pictures of what is scored."""

    def face(self, view: View, scores: Scores) -> None:
        """Consider a measured face."""

    def frame(self, target: Frame, render: Frame) -> None:
        """Consider a whole frame."""


@dataclass(frozen=True)
class FaceRow:
    """A swapped face: rows of crops and of converted.parquet for one frame and track.

    Attributes:
        shot_index, track_index: whose time line it belongs to.
        aligned: (2,3) frame px -> px of align's crop.
        landmarks_5, landmarks_468: px of that crop.
        pose_deg: (3,) yaw, pitch, roll.
        mask: (M,M) uint8, 255 = replaced.
        to_mask: (2,3) frame px -> px of `mask`.
    """

    shot_index: int
    track_index: int
    aligned: Affine
    landmarks_5: Values
    landmarks_468: Values
    pose_deg: Values
    mask: Pixels
    to_mask: Affine


@dataclass(frozen=True)
class SourceFaces:
    """What the source looks like: a gallery to compare with, and crops to paste.

    Attributes:
        gallery: (D,) unit vector, the centroid of the source's clean faces.
        poses: (K,3) of `crops`, degrees.
        crops: K crops (S,S,3) uint8 in align's template.
    """

    gallery: Values
    poses: Values
    crops: Sequence[Pixels]

    def nearest(self, pose_deg: Values) -> Pixels:
        """The crop whose pose is nearest."""
        return self.crops[int(np.linalg.norm(self.poses - pose_deg, axis=1).argmin())]


@dataclass
class _Before:
    """The measured frame before this one."""

    frame_index: int
    row: FaceRow
    lumas: tuple[Pixels, Pixels]


@dataclass
class Scorer:
    """Takes frames in order, then says what was measured.

    Attributes:
        frames: number of frames of the clip.
        networks: embedder and mesh.
        canonical: (468,3) vertices for the head pose.
        source: gallery and crops of the source identity.
        margin_px: how far around the mask a pixel still counts as touched.
        album: shown every frame and every measured face.
        columns: scores by name, (frames,) float64, nan where not measured.
    """

    frames: int
    networks: Networks
    canonical: npt.NDArray[np.floating]
    source: SourceFaces
    margin_px: int
    album: Watcher
    columns: dict[str, Values] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = {name: np.full(self.frames, np.nan) for name in SCORES}
        self._waiting: list[tuple[View, FaceRow]] = []
        self._recent: deque[tuple[int, FaceRow, Face]] = deque(maxlen=3)
        self._embeddings: list[Values] = []
        self._measured: list[int] = []
        self._before: _Before | None = None
        self._worker = ThreadPoolExecutor(1)
        self._running: Future[list[Face]] | None = None
        self._measuring: list[tuple[View, FaceRow]] = []
        self._size = (0, 0)

    def frame(self, target: Frame, render: Frame, faces: list[FaceRow], measure: int) -> None:
        """Score one frame; `faces` begins with the one to measure, `measure` as in sampling."""
        pair = (render.luma(), target.luma())
        height, width = pair[1].shape
        self._size = (width, height)
        touched = np.zeros((height, width), np.uint8)
        for face in faces:
            mask, (x0, y0, x1, y1) = views.frame_mask(face.mask, face.to_mask, width, height)
            np.maximum(touched[y0:y1, x0:x1], mask, out=touched[y0:y1, x0:x1])
        reached = fidelity.reach(touched, self.margin_px) if faces else touched
        index = target.frame_index
        self.album.frame(target, render)
        whole = measure == sampling.ALL
        self._set(index, scores.outside(pair[1], pair[0], reached, with_ssim=whole))
        if measure == sampling.NOTHING or not faces:
            return
        before, self._before = self._before, _Before(index, faces[0], pair)
        if whole and before and _follows(before.frame_index, before.row, index, faces[0]):
            self._over_time(index, before.lumas, pair, touched)
        view = self._view(target, render, faces[0], whole=whole)
        self._waiting.append((view, faces[0]))
        if len(self._waiting) >= BATCH:
            self._flush()

    def _view(self, target: Frame, render: Frame, face: FaceRow, *, whole: bool) -> View:
        place = views.locate(
            face.aligned, face.landmarks_5, face.landmarks_468, face.mask, face.to_mask
        )
        box = alignment.region(place.to_view, views.VIEW_PX, *self._size)
        corner = (box[0], box[1])
        before = views.warped(target.region_rgb(*box), corner, place)
        after = views.warped(render.region_rgb(*box), corner, place)
        nearest = self.source.nearest(face.pose_deg) if whole else None
        pasted = None if nearest is None else views.paste(before, nearest, place)
        return View(target.frame_index, place, before, after, pasted)

    def _over_time(
        self,
        index: int,
        before: tuple[Pixels, Pixels],
        now: tuple[Pixels, Pixels],
        touched: Pixels,
    ) -> None:
        """Flow from the frame before, in the box of the mask."""
        x0, y0, x1, y1 = _box(touched)
        if min(x1 - x0, y1 - y0) < SMALLEST_FLOW_PX:
            return
        (a, b), (c, d) = ([p[y0:y1, x0:x1] for p in pair] for pair in (now, before))
        self._set(index, scores.over_time((a, b), (c, d), touched[y0:y1, x0:x1]))

    def _flush(self) -> None:
        """Hand what waits to the networks, which work while the next frames are read."""
        self._collect()
        batch, self._waiting = self._waiting, []
        if batch:
            given = [view for view, _ in batch]
            self._running = self._worker.submit(
                scores.measure, given, self.networks, self.canonical, self._size
            )
            self._measuring = batch

    def _collect(self) -> None:
        """Take what the networks have found, in the order of frames."""
        if self._running is None:
            return
        faces, self._running = self._running.result(), None
        for (view, row), face in zip(self._measuring, faces, strict=True):
            self._take(view, row, face)

    def _take(self, view: View, row: FaceRow, face: Face) -> None:
        index = view.frame_index
        self._set(index, face.scores)
        self._recent.append((index, row, face))
        self._jitter()
        if face.embeddings is None:
            return
        near = identity.cosine(face.embeddings[0], self.source.gallery)
        self._set(index, {"identity_source": float(near)})
        self._embeddings.append(face.embeddings)
        self._measured.append(index)
        self.album.face(view, {name: float(self.columns[name][index]) for name in SCORES})

    def _jitter(self) -> None:
        if len(self._recent) < 3:
            return
        (a, row_a, first), (b, row_b, second), (c, row_c, third) = self._recent
        if _follows(a, row_a, b, row_b) and _follows(b, row_b, c, row_c):
            self._set(b, scores.jitters((first, second, third)))

    def _set(self, index: int, found: Scores) -> None:
        for name, value in found.items():
            self.columns[name][index] = value

    def finish(self) -> Values:
        """Measure what waits, compare with both galleries; returns the target's centroid (D,)."""
        self._flush()
        self._collect()
        self._worker.shutdown()
        if not self._embeddings:
            return np.zeros(len(self.source.gallery))
        target = identity.centroid(np.stack([e[1] for e in self._embeddings]))
        found = scores.identities(self._embeddings, self.source.gallery, target)
        for name, values in found.items():
            self.columns[name][self._measured] = values
        return target


SMALLEST_FLOW_PX = 24
"""Side below which dense inverse search has no room for its patches."""


def _follows(first: int, row: FaceRow, second: int, other: FaceRow) -> bool:
    line = (row.shot_index, row.track_index) == (other.shot_index, other.track_index)
    return second == first + 1 and line


def _box(mask: Pixels) -> tuple[int, int, int, int]:
    """Box x0, y0, x1, y1 around what is above 0, with a margin for the flow; empty if nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    height, width = mask.shape
    margin = 8
    return (
        max(int(columns[0]) - margin, 0),
        max(int(rows[0]) - margin, 0),
        min(int(columns[-1]) + 1 + margin, width),
        min(int(rows[-1]) + 1 + margin, height),
    )
