"""Faces of the frames of one video: where they are, who they are, how they look.

Of several faces the largest counts, unless the caller knows where to look: the videos of the data
set show one person, with others in the background at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import FootageError
from likeness.media.footage import Footage, open_footage
from likeness.media.frame import Frame
from likeness.media.timeline import timeline
from likeness.metrics.retrieval import even_frames
from likeness.vision.alignment import umeyama
from likeness.vision.pose import pose_from_mesh
from likeness.vision.squares import Squares
from models.analysers.embedder import SIZE_PX, TEMPLATE
from models.analysers.faces import overlap
from models.analysers.mesh import POINTS, FaceMesh, box_region
from models.analysers.pack import Pack
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Embed = Callable[[Pixels], Floats]
SCAN_EVERY = 8
"""Frames of a video between two looks at the whole picture, where every frame is wanted."""
WINDOW = 0.5
"""Context around a known face, in longer sides of its box."""
BATCH = 32


@dataclass(frozen=True)
class Found:
    """Faces of the frames that were asked for; a row without a face is zeros.

    Attributes:
        frames: (N,) indices asked for.
        seen: (N,) whether a face was found.
        lost: frames that cannot be decoded.
        bbox: (N,4) frame px, square ones as all px here.
        embeddings: (N,D), not normalised.
        landmarks_468: (N,468,3) frame px; (0,468,3) where it was not asked for.
        pose_deg: (N,3), likewise.
    """

    frames: npt.NDArray[np.int64]
    seen: npt.NDArray[np.bool_]
    lost: int
    bbox: Floats
    embeddings: Floats
    landmarks_468: Floats
    pose_deg: Floats


@dataclass(frozen=True)
class _Face:
    bbox: Floats
    landmarks_5: Floats


class Analyst:
    """The networks of the protocol; several threads may use it.

    Args:
        pack: detector, mesh and canonical face.
        embed: (N,112,112,3) RGB crops -> (N,D).
    """

    def __init__(self, pack: Pack, embed: Embed) -> None:
        self._pack, self._embed = pack, embed
        self._detector = pack.new_detector(threads=1)
        self._canonical, _ = pack.canonical_mesh()
        self._own = threading.local()

    def gallery(self, path: Path, wanted: int) -> Found:
        """Embeddings of a video's faces, without meshes; of every frame if `wanted` is 0.

        Raises:
            FootageError: it cannot be read.
        """
        count = frame_count(path)
        frames = np.arange(count) if not wanted else even_frames(count, wanted)
        return self._look(path, frames, None, meshes=False)

    def compared(self, path: Path, frames: npt.NDArray[np.int64], near: Floats | None) -> Found:
        """Faces with mesh and pose in some frames.

        Args:
            path: the video.
            frames: indices, rising.
            near: (N,4) boxes to prefer, one per frame, zeros where there is none; None: largest.

        Raises:
            FootageError: it cannot be read.
        """
        return self._look(path, frames, near, meshes=True)

    def _look(
        self, path: Path, frames: npt.NDArray[np.int64], near: Floats | None, *, meshes: bool
    ) -> Found:
        rows = {int(frame): row for row, frame in enumerate(frames)}
        count, lost = len(rows), len(rows)
        bbox, seen = np.zeros((count, 4), np.float32), np.zeros(count, np.bool_)
        mesh = np.zeros((count if meshes else 0, POINTS, 3), np.float32)
        pose = np.zeros((len(mesh), 3), np.float32)
        crops: list[Pixels] = []
        embedded: list[Floats] = []
        with open_footage(path) as footage:
            size = Squares.of(footage.facts).size
            for row, view, face in self._faces(footage, rows, near, follow=not meshes):
                lost -= view is not None
                if view is None or face is None:
                    continue
                seen[row], bbox[row] = True, face.bbox
                crops.append(view.warped(umeyama(face.landmarks_5, TEMPLATE), SIZE_PX))
                if meshes:
                    mesh[row] = self._mesh(view, face)
                    pose[row] = pose_from_mesh(mesh[row], size, self._canonical)
                if len(crops) == BATCH:
                    embedded.append(self._embed(np.stack(crops)))
                    crops = []
        embedded += [self._embed(np.stack(crops))] if crops else []
        vectors = np.concatenate(embedded) if embedded else np.zeros((0, 1), np.float32)
        embeddings = np.zeros((count, vectors.shape[1]), np.float32)
        embeddings[seen] = vectors
        return Found(np.asarray(frames, np.int64), seen, lost, bbox, embeddings, mesh, pose)

    def _faces(
        self, footage: Footage, rows: dict[int, int], near: Floats | None, *, follow: bool
    ) -> Iterator[tuple[int, View | None, _Face | None]]:
        """(row, view or None, face or None) of each wanted frame that the video has.

        To `follow` a face from frame to frame is quicker and moves its box by a fraction of a px:
        no matter for a gallery, but the same frame must give the same mesh wherever it stands.
        """
        before: _Face | None = None
        seen_at = scanned_at = -SCAN_EVERY
        for frame in footage.frames(rows.keys()):
            index, row = frame.frame_index, rows[frame.frame_index]
            if not frame.decoded:
                yield row, None, None
                continue
            view = _view(footage, frame)
            face = None
            if before and follow and index == seen_at + 1 < scanned_at + SCAN_EVERY:
                face = self._near(view, before)
            if face is None:
                face = self._scan(view, None if near is None else near[row])
                scanned_at = index
            before, seen_at = face, index
            yield row, view, face

    def _scan(self, view: View, near: Floats | None) -> _Face | None:
        width, height, scale = self._detector.shape(view.width_px, view.height_px)
        picture = view.resized(width, height)
        bbox, _, points = self._detector.detect_scaled([picture], scale)[0]
        if not len(bbox):
            return None
        best = int(np.prod(bbox[:, 2:] - bbox[:, :2], axis=1).argmax())
        if near is not None and near.any():
            shares = [overlap(box, near) for box in bbox]
            best = int(np.argmax(shares)) if max(shares) > 0 else best
        return _Face(bbox[best], points[best])

    def _near(self, view: View, before: _Face) -> _Face | None:
        """The face where it was a frame ago, by the detector in a window around it."""
        width, height, scale = self._detector.shape(view.width_px, view.height_px)
        old = before.bbox * np.float32(scale)
        margin = WINDOW * float(max(old[2] - old[0], old[3] - old[1]))
        grid = self._detector.grid_px
        low = np.maximum((old[:2] - margin) // grid * grid, 0)
        high = np.minimum(-(-(old[2:] + margin) // grid) * grid, (width, height))
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        if box[2] <= box[0] or box[3] <= box[1]:
            return None
        picture = view.window(box, (width, height))
        bbox, _, points = self._detector.detect_scaled([picture], 1.0)[0]
        bbox = (bbox + np.tile(low, 2).astype(np.float32)) / np.float32(scale)
        shares = [overlap(found, before.bbox) for found in bbox]
        if not shares or max(shares) < WINDOW:
            return None
        best = int(np.argmax(shares))
        corner = low.astype(np.float32)
        return _Face(bbox[best], (points[best] + corner) / np.float32(scale))

    def _mesh(self, view: View, face: _Face) -> Floats:
        """Mesh (468,3) in frame px, depth to the same scale."""
        network: FaceMesh | None = getattr(self._own, "mesh", None)
        if network is None:  # TFLite interpreters cannot be shared by threads
            network = self._own.mesh = self._pack.new_mesh()
        affine = box_region(face.bbox, face.landmarks_5, network.size_px)
        points, _ = network.run_crop(view.warped(affine, network.size_px, replicate=True))
        inverse = np.linalg.inv(affine[:, :2])
        placed = np.empty_like(points)
        placed[:, :2] = (points[:, :2] - affine[:, 2]) @ inverse.T
        placed[:, 2] = points[:, 2] * np.sqrt(abs(np.linalg.det(inverse)))
        return placed


def _view(footage: Footage, frame: Frame) -> View:
    facts = footage.facts
    aspect = facts["sample_aspect_ratio"]
    return View(frame.planes(), facts["colour_space"], facts["colour_range"], aspect)


def frame_count(path: Path) -> int:
    """Frames of a video, counted by its packets: exact where the header only estimates.

    Frames that the file has lost count, as they do where it is read.

    Raises:
        FootageError: it cannot be opened, or holds none.
    """
    count = len(timeline(path).expected)
    if not count:
        raise FootageError(path, "has no frame that can be decoded", "replace the file")
    return count
