"""One face followed from frame to frame, by what has been seen so far alone.

Every `scan_every` frames the detector sees the whole picture; in between the mesh is followed, each
fitted where the one before was, which costs a fifth. The five points keep to the places that the
detector gave them on the mesh, so that a scan never makes them jump; One-Euro filters steady them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.gallery import cosines
from likeness.vision.smoothing import TrackFilter
from models.analysers.faces import Face, overlap
from models.analysers.follow import MESH_SCORE, five_points
from models.analysers.mesh import POINTS, FaceMesh, box_region, mesh_region
from models.analysers.observer import SAME_FACE, Observer
from models.analysers.pack import Pack
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
FRESH = 0.5
"""Share of a scan's finding in where the five points lie on the mesh."""
LOYAL = 0.1
"""Cosine by which another face must be nearer to the gallery to take over."""
LOYAL_SIZE = 1.5
"""Factor by which another face must be larger to take over, where there is no gallery."""
UNSEEN_SCANS = 2
"""Scans in a row without any face after which a mesh is followed no further."""
BEST = 3
"""References whose mean cosine counts, as in stage `filter`."""


@dataclass(frozen=True)
class Seen:
    """The face of a frame.

    Attributes:
        track: changes when another face takes over, or the same one after a gap.
        bbox: (4,) px of the view (square ones), around the mesh.
        landmarks_5: (5,2) px of the view, steadied.
        mesh: (468,3) px of the view, steadied.
    """

    track: int
    bbox: Points
    landmarks_5: Points
    mesh: Points


Choose = Callable[[list[Face], Floats | None], Face]


def largest(faces: list[Face], tracked: Floats | None) -> Face:
    """The face with the largest box; the one that is followed counts for more."""

    def size(face: Face) -> float:
        area = float(np.prod(face.bbox[2:] - face.bbox[:2]))
        loyal = tracked is not None and overlap(face.bbox, tracked) >= SAME_FACE
        return area * LOYAL_SIZE if loyal else area

    return max(faces, key=size)


def nearest_to(gallery: Floats) -> Choose:
    """Chooses the face whose embedding is nearest to `gallery` (G,D), unit vectors."""

    def choose(faces: list[Face], tracked: Floats | None) -> Face:
        near = cosines(np.stack([face.embedding for face in faces]), gallery, BEST)
        if tracked is not None:
            kept = [overlap(face.bbox, tracked) >= SAME_FACE for face in faces]
            near = near + np.float32(LOYAL) * np.array(kept, np.float32)
        return faces[int(near.argmax())]

    return choose


class Tracker:
    """Follows one face; frames come in order, some may be left out.

    Args:
        pack: its networks run here, on one thread.
        scan_every: frames from one scan of the whole picture to the next, at most.
        choose: picks one of several faces; the box followed so far, if any, is given to it.
        cutoff_hz, beta: of the One-Euro filters (`align.smooth_*`).
    """

    def __init__(
        self,
        pack: Pack,
        scan_every: int = 8,
        choose: Choose = largest,
        cutoff_hz: float = 3.0,
        beta: float = 20.0,
    ) -> None:
        self._observer = Observer(pack)
        self._mesh: FaceMesh = pack.new_mesh()
        self._every, self._choose = scan_every, choose
        self._steady = [TrackFilter(cutoff_hz, beta) for _ in range(2)]
        self._since = self._unseen = 0
        self._track = 0
        self._last: Floats | None = None
        self._places: Floats | None = None

    @property
    def scans(self) -> int:
        """How often the whole picture was seen."""
        return self._observer.counts.scans

    def warm_up(self, view: View) -> None:
        """Run the networks once, so that the first frame does not wait for what they set up."""
        self._observer.scan(view)
        self._mesh.run_crop(view.warped(np.eye(2, 3), self._mesh.size_px))

    def __call__(self, view: View, time_s: float) -> Seen | None:
        """The face of the next frame, or None.

        Args:
            view: the frame.
            time_s: when it was taken, rising.
        """
        self._since += 1
        mesh = self._followed(view)
        if mesh is None or self._since >= self._every:
            mesh = self._scanned(view, mesh)
        if mesh is None:
            self._last = self._places = None
            return None
        self._last = mesh
        return self._steadied(mesh, time_s)

    def _followed(self, view: View) -> Floats | None:
        """Mesh where that of the frame before was; None: no face there."""
        if self._last is None:
            return None
        return self._fit(view, mesh_region(self._last, self._mesh.size_px))

    def _fit(self, view: View, affine: Points) -> Floats | None:
        size_px = self._mesh.size_px
        points, score = self._mesh.run_crop(view.warped(affine, size_px, replicate=True))
        if score < MESH_SCORE:
            return None
        inverse = cv2.invertAffineTransform(affine)
        mesh = np.empty((POINTS, 3), np.float32)
        mesh[:, :2] = points[:, :2] @ inverse[:, :2].T + inverse[:, 2]
        mesh[:, 2] = points[:, 2] * float(np.hypot(inverse[0, 0], inverse[1, 0]))
        return mesh

    def _scanned(self, view: View, followed: Floats | None) -> Floats | None:
        """Mesh of the chosen face among all that the detector finds."""
        faces = [face for face in self._observer.scan(view) if face.mesh_agrees]
        self._since = 0
        if not faces:
            # The mesh sees what the detector does not (a hand before the mouth), but not for long.
            self._unseen += 1
            return followed if self._unseen < UNSEEN_SCANS else None
        self._unseen = 0
        tracked = None if followed is None else _bbox(followed)
        face = self._choose(faces, tracked)
        same = tracked is not None and overlap(face.bbox, tracked) >= SAME_FACE
        mesh = followed if same else None
        if mesh is None:
            region = box_region(face.bbox, face.landmarks_5, self._mesh.size_px)
            mesh = self._fit(view, region)
        if mesh is None:
            return None
        if not same:
            self._track += 1
            self._places = None
        self._place(face, mesh)
        return mesh

    def _place(self, face: Face, mesh: Floats) -> None:
        """Learn where on the mesh the detector puts the five points."""
        found = (face.landmarks_5 - five_points(mesh[:, :2])) / _extent(mesh)
        before = self._places
        self._places = found if before is None else before + FRESH * (found - before)

    def _steadied(self, mesh: Floats, time_s: float) -> Seen:
        places = self._places if self._places is not None else np.zeros((5, 2), np.float32)
        five = five_points(mesh[:, :2]) + places * _extent(mesh)
        bbox = _bbox(mesh)
        width = float(bbox[2] - bbox[0])
        five, steady = (
            track_filter(points, time_s, (self._track, 0), width)
            for track_filter, points in zip(self._steady, (five, mesh), strict=True)
        )
        return Seen(self._track, bbox.astype(np.float64), five, steady)


def _extent(mesh: Floats) -> Floats:
    """Width and height (2,) of a mesh, px."""
    size = mesh[:, :2].max(axis=0) - mesh[:, :2].min(axis=0)
    return np.maximum(size, np.float32(1.0))


def _bbox(mesh: Floats) -> Floats:
    """Box (4,) around a mesh."""
    return np.concatenate([mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)])
