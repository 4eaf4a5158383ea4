"""A swap scored frame by frame: memory stays the same however long the clip is."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from likeness.evaluation import sampling, scores, views
from likeness.evaluation.baselines import Measured, measure_run
from likeness.evaluation.clip import Clip
from likeness.evaluation.face import RENDER, Face, FaceRow, Task, measure
from likeness.evaluation.found import Found
from likeness.evaluation.gallery import SourceFaces
from likeness.evaluation.look import Measures
from likeness.evaluation.reference import Reference
from likeness.evaluation.runs import Runs, Submitted, Triples
from likeness.evaluation.scores import Scores
from likeness.evaluation.views import View
from likeness.evaluation.workers import InOrder
from likeness.media.frame import Frame
from likeness.metrics import fidelity, identity
from likeness.metrics.subjects import Frames

Pixels = npt.NDArray[np.uint8]


class Watcher(Protocol):
    """Keeps pictures of what is scored."""

    def face(self, view: View, scores: Scores, source: Pixels | None = None) -> None:
        """Consider a measured face, and the source's beside it."""

    def frame(self, target: Frame, render: Frame) -> None:
        """Consider a whole frame."""


@dataclass(frozen=True)
class Setting:
    """What measuring a swap takes beside its frames.

    Attributes:
        clip: what is known of the frames, and which to measure.
        using: networks, canonical face, shape of the pixels.
        source: gallery and crops of the source identity, needed from the first measured face on.
        reference: how baselines are made.
        margin_px: how far around the mask a pixel still counts as touched.
        without: scores that mean nothing here, whatever their prefix.
    """

    clip: Clip
    using: Measures
    source: Future[SourceFaces]
    reference: Reference
    margin_px: int
    without: tuple[str, ...] = ()


class Scorer:
    """Takes frames in order, then says what was measured.

    Args:
        setting: what measuring takes.
        album: shown every frame and every measured face.

    Attributes:
        setting, found: that, and what was measured.
    """

    def __init__(self, setting: Setting, album: Watcher) -> None:
        self.setting = setting
        self.found = Found(len(setting.clip.shots), setting.without)
        self._album = album
        self._workers = InOrder(self._take)
        self._runs = Runs(set(setting.clip.runs.tolist()), setting.reference)
        self._triples = Triples()
        self._singles = set(setting.reference.singles.tolist())

    def frame(self, target: Frame, render: Frame, faces: list[FaceRow]) -> None:
        """Score one frame; `faces` begins with the one to measure."""
        index, luma = target.frame_index, target.luma()
        touched = views.touched(faces, luma.shape[1], luma.shape[0])
        reached = fidelity.reach(touched, self.setting.margin_px) if faces else touched
        frames = Frames(luma, render.luma(), reached)
        self._album.frame(target, render)
        self.found.set(index, scores.of_frames(frames, "outside"))
        if self.setting.clip.measure[index] == sampling.NOTHING:
            return
        if not faces:
            self.found.set(index, scores.of_frames(frames, "sampled"))
            return
        self._measure(self._task(target, render, faces[0], (touched, reached)))

    def _task(
        self, target: Frame, render: Frame, row: FaceRow, masks: tuple[Pixels, Pixels]
    ) -> Task:
        index, clip = target.frame_index, self.setting.clip
        before = self._runs.before(index, row)
        whole = clip.measure[index] == sampling.ALL
        return Task(
            target=target,
            render=render,
            row=row,
            level=int(clip.measure[index]),
            judged=bool(clip.judged[index]),
            pasted=bool(clip.pasted[index]),
            beside=index in self._singles,
            touched=masks[0],
            reached=masks[1],
            before=before.lumas if before is not None and whole else None,
            source=self.setting.source,
        )

    def _measure(self, task: Task) -> None:
        """Hand a frame to the workers, and its run when that is complete."""
        future = self._workers.submit(measure, task, self.setting.using)
        self._compare(self._runs.add((task, future)))

    def _compare(self, run: list[Submitted]) -> None:
        """Measure the baselines of a run."""
        if run:
            tasks, faces = zip(*run, strict=True)
            reference, using = self.setting.reference, self.setting.using
            self._workers.submit(measure_run, tasks, faces, reference, using)

    def _take(self, given: Face | Measured) -> None:
        """Keep what a worker found."""
        if isinstance(given, Measured):
            self.found.set(given.frame_index, given.scores)
            self.found.keep(given.frame_index, given)
            return
        index = given.view.frame_index
        self.found.set(index, given.scores)
        ended = self._triples.add(index, given) if given.meshes else None
        if ended is not None:
            self.found.set(ended[0], scores.of_run(ended[1]))
        if given.embeddings:
            source = self.setting.source.result()
            near = identity.cosine(given.embeddings[RENDER], source.gallery)
            self.found.set(index, {"identity_source": float(near)})
            self.found.keep(index, given)
            if given.looks:
                beside = views.beside(source.nearest(given.row.pose_deg), given.view.place)
                self._album.face(given.view, self.found.scores(index), beside)

    def finish(self) -> None:
        """Measure what waits, then compare all faces with both galleries."""
        self._compare(self._runs.finish())
        self._workers.finish()
        self.found.add(self.setting.reference)
        self.found.compare(self.setting.source.result())
