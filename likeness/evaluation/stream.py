"""A swap scored frame by frame: memory stays the same however long the clip is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from likeness.contracts import environment
from likeness.contracts.tables.per_frame import SCORES
from likeness.evaluation import sampling, scores, views
from likeness.evaluation.baselines import Measured, measure_run
from likeness.evaluation.clip import Clip
from likeness.evaluation.face import COPIED, RENDER, Face, FaceRow, Task, measure
from likeness.evaluation.gallery import SourceFaces
from likeness.evaluation.look import Measures, Networks
from likeness.evaluation.reference import Reference
from likeness.evaluation.scores import Scores
from likeness.evaluation.views import View
from likeness.media.footage import Frame
from likeness.metrics import fidelity, identity
from likeness.vision.squares import Squares

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Vectors = dict[str, dict[int, Values]]
WAITING_PER_THREAD = 2
"""Tasks that may wait for a worker: each holds the frames that it is about."""


_Submitted = tuple[Task, Future[Face]]


class Watcher(Protocol):
    """Keeps pictures of what is scored."""

    def face(self, view: View, scores: Scores, source: Pixels | None = None) -> None:
        """Consider a measured face, and the source's beside it."""

    def frame(self, target: Frame, render: Frame) -> None:
        """Consider a whole frame."""


@dataclass
class Scorer:
    """Takes frames in order, then says what was measured.

    Faces are measured by workers, one thread each; what they find is taken in the order of frames,
    so that the result does not hang on their number.

    Attributes:
        clip: what is known of the frames, and which to measure.
        networks: embedders, mesh, iris.
        canonical: (468,3) vertices for the head pose.
        source: gallery and crops of the source identity, needed from the first measured face on.
        reference: how baselines are made.
        margin_px: how far around the mask a pixel still counts as touched.
        album: shown every frame and every measured face.
        aspect: width and height of a stored pixel.
        without: scores that mean nothing here and are not kept, whatever their prefix.
        columns: scores by name, (frames,) float64, nan where not measured; those of
            per_frame.parquet, and of the baselines under their prefixes.
        embeddings, seconds, features: by prefix and frame, see metrics.face.Face.
    """

    clip: Clip
    networks: Networks
    canonical: npt.NDArray[np.floating]
    source: Future[SourceFaces]
    reference: Reference
    margin_px: int
    album: Watcher
    without: tuple[str, ...] = ()
    aspect: tuple[int, int] | list[int] = (1, 1)
    columns: dict[str, Values] = field(init=False)
    embeddings: Vectors = field(init=False, default_factory=dict)
    seconds: Vectors = field(init=False, default_factory=dict)
    features: Vectors = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._frames = len(self.clip.shots)
        self.columns = {name: np.full(self._frames, np.nan) for name in SCORES}
        self._middles = set(self.clip.runs.tolist())
        self._singles = set(self.reference.singles.tolist())
        self._run: list[_Submitted] = []
        self._before: _Submitted | None = None
        self._recent: deque[tuple[int, Face]] = deque(maxlen=3)
        self._workers = ThreadPoolExecutor(environment.threads())
        self._working: deque[Future[Any]] = deque()
        self._using = Measures(self.networks, self.canonical, Squares(0, 0))

    def frame(self, target: Frame, render: Frame, faces: list[FaceRow]) -> None:
        """Score one frame; `faces` begins with the one to measure."""
        index, lumas = target.frame_index, (render.luma(), target.luma())
        height, width = lumas[1].shape
        self._using = Measures(
            self.networks, self.canonical, Squares.shaped(width, height, self.aspect)
        )
        touched = np.zeros((height, width), np.uint8)
        for face in faces:
            mask, (x0, y0, x1, y1) = views.frame_mask(face.mask, face.to_mask, width, height)
            np.maximum(touched[y0:y1, x0:x1], mask, out=touched[y0:y1, x0:x1])
        reached = fidelity.reach(touched, self.margin_px) if faces else touched
        self.album.frame(target, render)
        self._set(index, scores.outside(lumas[1], lumas[0], reached))
        level = int(self.clip.measure[index])
        if level == sampling.NOTHING:
            return
        if not faces:
            self._set(index, scores.ssim_outside(lumas[1], lumas[0], reached))
            return
        self._measure(target, render, faces[0], (touched, reached), level)

    def _measure(
        self,
        target: Frame,
        render: Frame,
        row: FaceRow,
        masks: tuple[Pixels, Pixels],
        level: int,
    ) -> None:
        """Hand a frame to the workers, and its run when that is complete."""
        index, whole = target.frame_index, level == sampling.ALL
        before = self._before[0] if self._before is not None else None
        linked = before is not None and _follows(before, index, row)
        task = Task(
            target=target,
            render=render,
            row=row,
            level=level,
            judged=bool(self.clip.judged[index]),
            pasted=bool(self.clip.pasted[index]),
            beside=index in self._singles,
            touched=masks[0],
            reached=masks[1],
            before=before.lumas if before is not None and linked and whole else None,
            source=self.source,
        )
        measured = (task, self._submit(measure, task, self._using))
        if self._run:
            self._compare(measured if linked and level != sampling.FACE else None)
        if index in self._middles:
            linked = linked and before is not None and before.level != sampling.FACE
            linked = linked and self.reference.stored[index].frames > 1
            self._run = [self._before, measured] if self._before and linked else [measured]
        self._before = measured

    def _compare(self, after: _Submitted | None) -> None:
        """Measure the baselines of the waiting run, ended by `after` if that follows it."""
        run, self._run = self._run, []
        run = [*run, after] if len(run) == 2 and after is not None else [run[-1]]
        tasks, faces = zip(*run, strict=True)
        self._submit(measure_run, tasks, faces, self.reference, self._using)

    def _submit(self, work: Any, *arguments: Any) -> Future[Any]:
        """Give work to the workers; take in order what they have done once enough waits."""
        future = self._workers.submit(work, *arguments)
        self._working.append(future)
        while len(self._working) > WAITING_PER_THREAD * environment.threads():
            self._take(self._working.popleft().result())
        return future

    def _take(self, found: Face | Measured) -> None:
        if isinstance(found, Measured):
            self._set(found.frame_index, found.scores)
            self._keep(found.frame_index, self.embeddings, found.embeddings)
            self._keep(found.frame_index, self.seconds, found.seconds)
            self._keep(found.frame_index, self.features, found.features)
            return
        index = found.view.frame_index
        self._set(index, found.scores)
        if found.meshes:
            self._recent.append((index, found))
            self._jitter()
        if not found.embeddings:
            return
        near = identity.cosine(found.embeddings[RENDER], self.source.result().gallery)
        self._set(index, {"identity_source": float(near)})
        self._keep(index, self.embeddings, found.embeddings)
        self._keep(index, self.seconds, found.seconds)
        self._keep(index, self.features, found.features)
        if found.looks:
            crop = self.source.result().nearest(found.row.pose_deg)
            beside = views.beside(crop, found.view.place)
            known = {name: float(self.columns[name][index]) for name in SCORES}
            self.album.face(found.view, known, beside)

    def _jitter(self) -> None:
        if len(self._recent) < len(sampling.RUN):
            return
        (a, first), (b, second), (c, third) = self._recent
        lines = {(f.row.shot_index, f.row.track_index) for f in (first, second, third)}
        if c - b == b - a == 1 and len(lines) == 1:
            render, target = ([f.meshes[i] for f in (first, second, third)] for i in (0, 1))
            self._set(b, scores.jitters(render, target))

    def _set(self, index: int, found: Scores) -> None:
        for name, value in found.items():
            if name.endswith(self.without):
                continue
            if name not in self.columns:
                self.columns[name] = np.full(self._frames, np.nan)
            self.columns[name][index] = value

    @staticmethod
    def _keep(index: int, kept: Vectors, found: dict[str, Values]) -> None:
        for prefix, vector in found.items():
            kept.setdefault(prefix, {})[index] = vector

    def finish(self) -> None:
        """Measure what waits, then compare all faces with both galleries."""
        if self._run:
            self._compare(None)
        for work in self._working:
            self._take(work.result())
        self._workers.shutdown()
        for kept, known in (
            (self.embeddings, self.reference.embeddings),
            (self.features, self.reference.features),
        ):
            for prefix, vectors in known.items():
                if vectors:
                    kept.setdefault(prefix, {}).update(vectors)
        source = self.source.result()
        self._identities("identity", self.embeddings, source.gallery)
        if source.second is not None:
            self._identities("independent", self.seconds, source.second)

    def _identities(self, name: str, vectors: Vectors, source: Values) -> None:
        """Columns of cosines to the source's centroid and to that of the target's own faces."""
        if not vectors:
            return
        target = identity.centroid(np.stack(list(vectors[COPIED].values())))
        for prefix, own in vectors.items():
            for who, centroid in (("source", source), ("target", target)):
                column = scores.cosines(own, centroid, self._frames)
                self.columns[f"{prefix}{name}_{who}"] = column


def _follows(before: Task, index: int, row: FaceRow) -> bool:
    line = (before.row.shot_index, before.row.track_index) == (row.shot_index, row.track_index)
    return before.target.frame_index == index - 1 and line


def ordered(vectors: dict[int, Values]) -> Sequence[Values]:
    """Vectors in the order of their frames."""
    return [vectors[index] for index in sorted(vectors)]
