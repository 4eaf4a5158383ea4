"""What the networks say of one frame: all its faces, or one that is expected somewhere."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from likeness.vision.alignment import umeyama
from models.analysers.detector import SCORE
from models.analysers.embedder import SIZE_PX, TEMPLATE
from models.analysers.faces import Face, moved, overlap
from models.analysers.mesh import FaceMesh, square_region
from models.analysers.pack import Pack
from models.analysers.turned import (
    APART_DEG,
    LEVEL_DEG,
    SURE_NORM,
    SecondLook,
    Sight,
    between_deg,
    roll_deg,
)
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
WINDOW = 0.5
"""Context of a face's window beyond its box, in longer sides of the box, both sides together.
Boxes from there overlap those from the whole frame by 0.985 to 0.998 in the median."""
MARGIN_PX = 32.0
"""Context that small faces need at least on each side, px of the detector's picture."""
SAME_FACE = 0.3
"""Overlap with the expected box from which a detection in a window is the face looked for."""


@dataclass
class Counts:
    """How often the networks ran."""

    scans: int = 0
    looks: int = 0
    meshes: int = 0
    embeddings: int = 0


class Observer:
    """Runs a pack's networks on views of frames; may be used from several threads at once.

    Every network runs on one thread: several frames at once use the machine better.

    Args:
        pack: whose networks.
        min_score: of the detector, from which a detection counts as a face.
    """

    def __init__(self, pack: Pack, min_score: float = SCORE) -> None:
        self._min_score = min_score
        self._detector = pack.new_detector(threads=1)
        self._embedder = pack.new_embedder(threads=1)
        self._pack = pack
        self._own = threading.local()
        self._lock = threading.Lock()
        self.counts = Counts()
        self._again = SecondLook(self._detector, lambda: self._mesh, min_score, self._count)

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, value in more.items():
                setattr(self.counts, name, getattr(self.counts, name) + value)

    @property
    def _mesh(self) -> FaceMesh:
        # TFLite interpreters cannot be shared by threads.
        mesh: FaceMesh | None = getattr(self._own, "mesh", None)
        if mesh is None:
            mesh = self._own.mesh = self._pack.new_mesh()
        return mesh

    def scan(self, view: View) -> list[Face]:
        """All faces of the frame, best score first, with embeddings."""
        width, height, scale = self._detector.shape(view.width_px, view.height_px)
        picture = view.resized(width, height)
        found = self._detector.detect_scaled([picture], scale, self._min_score)[0]
        self._count(scans=1)
        sights = [Sight(*one) for one in zip(*found, strict=True)]
        faces = self._embedded(view, sights)
        return [self._trusted(view, *one) for one in zip(sights, faces, strict=True)]

    def _trusted(self, view: View, sight: Sight, face: Face) -> Face:
        """The face as it was detected where that is in no doubt, or what a second look says."""
        level = abs(roll_deg(sight.points)) <= LEVEL_DEG
        if level and face.embedding_norm >= SURE_NORM.get(self._pack.name, math.inf):
            return face
        judged = self._again.judged(view, sight)
        best = self._again.upright(view, judged)
        if best is judged:
            return replace(face, mesh_agrees=judged.agrees)
        return self._embedded(view, [best])[0]

    def look(self, view: View, expected: Face, *, measure: bool) -> Face | None:
        """The face near where it is `expected`: the detector in a window around it; None: gone.

        Args:
            view: the frame.
            expected: where, and with which embedding.
            measure: whether to measure the embedding, or to keep the expected one.
        """
        sight = self._sight(view, expected)
        if sight is None:
            return None
        if measure:
            return replace(self._embedded(view, [sight])[0], mesh_agrees=sight.agrees)
        seen = moved(expected, sight.bbox, sight.points)
        return replace(
            seen,
            det_score=sight.score,
            followed=False,
            interpolated=True,
            mesh_agrees=sight.agrees,
        )

    def _sight(self, view: View, expected: Face) -> Sight | None:
        """The face near where it is expected, upright or turned."""
        before = Sight(expected.bbox, expected.det_score, expected.landmarks_5)
        turn = roll_deg(expected.landmarks_5)
        if expected.mesh_agrees and abs(turn) > LEVEL_DEG:
            seen = self._again.turned(view, before, turn)
            if seen is None or seen.sure:
                return seen
            return self._again.upright(view, self._again.judged(view, seen))
        seen = self._in_window(view, expected)
        if seen is None:
            return None
        lean = roll_deg(seen.points)
        if expected.mesh_agrees and abs(lean) <= LEVEL_DEG and between_deg(lean, turn) < APART_DEG:
            # Upright as before: the scans at both ends have been judged.
            return replace(seen, error=0.0)
        judged = self._again.judged(view, seen)
        return self._again.upright(view, judged) if expected.mesh_agrees else judged

    def _in_window(self, view: View, expected: Face) -> Sight | None:
        """The face near where it is expected, by the detector in an upright window around it."""
        width, height, scale = self._detector.shape(view.width_px, view.height_px)
        box = _window(expected.bbox * np.float32(scale), (width, height), self._detector.grid_px)
        if box is None:
            return None
        picture = view.window(box, (width, height))
        bbox, score, points = self._detector.detect_scaled([picture], 1.0, self._min_score)[0]
        self._count(looks=1)
        start = np.array(box[:2], np.float32)
        bbox, points = (bbox + np.tile(start, 2)) / scale, (points + start) / scale
        shares = [overlap(one, expected.bbox) for one in bbox]
        if not shares or max(shares) < SAME_FACE:
            return None
        best = int(np.argmax(shares))
        return Sight(bbox[best], float(score[best]), points[best])

    def fit_mesh(self, view: View, expected: Face) -> tuple[Floats, float]:
        """Mesh (468,2) in frame px and its score, in the region of the face `expected`."""
        left, right = expected.landmarks_5[0], expected.landmarks_5[1]
        angle = math.atan2(right[1] - left[1], right[0] - left[0])
        bbox = expected.bbox
        side = 1.5 * float(max(bbox[2] - bbox[0], bbox[3] - bbox[1]))
        mesh = self._mesh
        affine = square_region((bbox[:2] + bbox[2:]) / 2, side, angle, mesh.size_px)
        points, score = mesh.run_crop(view.warped(affine, mesh.size_px, replicate=True))
        self._count(meshes=1)
        linear = np.linalg.inv(affine[:, :2])
        return ((points[:, :2] - affine[:, 2]) @ linear.T).astype(np.float32), score

    def _embedded(self, view: View, sights: list[Sight]) -> list[Face]:
        crops = [view.warped(umeyama(one.points, TEMPLATE), SIZE_PX) for one in sights]
        if not crops:
            return []
        vectors = self._embedder.embed_crops(np.stack(crops))
        norms = np.linalg.norm(vectors, axis=1)
        self._count(embeddings=len(crops))
        units = (vectors / np.maximum(norms, 1e-12)[:, None]).astype(np.float32)
        return [
            Face(
                sight.bbox.astype(np.float32),
                float(sight.score),
                sight.points.astype(np.float32),
                units[i],
                float(norms[i]),
            )
            for i, sight in enumerate(sights)
        ]


def _window(bbox: Floats, size: tuple[int, int], grid_px: int) -> tuple[int, int, int, int] | None:
    """Box around `bbox` (detector px), on the detector's grid, inside the frame; None if beside."""
    margin = WINDOW / 2 * float(max(bbox[2] - bbox[0], bbox[3] - bbox[1]))
    margin = max(margin, MARGIN_PX)
    ends = [-(-side // grid_px) * grid_px for side in size]
    low = [max(math.floor((v - margin) / grid_px) * grid_px, 0) for v in bbox[:2]]
    high = [
        min(math.ceil((v + margin) / grid_px) * grid_px, end)
        for v, end in zip(bbox[2:], ends, strict=True)
    ]
    if high[0] <= low[0] or high[1] <= low[1]:
        return None
    return low[0], low[1], high[0], high[1]
