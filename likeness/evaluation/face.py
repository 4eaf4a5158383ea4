"""One face of one frame, measured in a worker: its views, its scores, what later ones need."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from likeness.evaluation import sampling, scores, views
from likeness.evaluation.gallery import SourceFaces
from likeness.evaluation.look import Measures, look
from likeness.evaluation.scores import Scores
from likeness.evaluation.views import Place, View
from likeness.media.frame import Frame
from likeness.metrics import perceptual
from likeness.metrics.catalogue.baselines import FACES, OWN
from likeness.metrics.subjects import Frames, Look, Motion, Pair, Replaced
from likeness.vision import alignment
from likeness.vision.alignment import Affine

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Lumas = tuple[Pixels, Pixels]
SMALLEST_FLOW_PX = 24
"""Side below which dense inverse search has no room for its patches."""
FLOW_MARGIN_PX = 8
RENDER, (COPIED, PASTED) = "", FACES
"""Prefixes of columns: the render, the target as it is, the source pasted."""


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

    def place(self) -> Place:
        """Where it lies in its frame."""
        return views.locate(
            self.aligned, self.landmarks_5, self.landmarks_468, self.mask, self.to_mask
        )


@dataclass(frozen=True)
class Task:
    """A frame whose face is to be measured.

    Attributes:
        target, render: the frame.
        row: its face.
        level: sampling.MOTION, FACE or ALL.
        judged: the second embedder looks too.
        pasted: the pasted source is measured too.
        beside: if not, it is recognised at least.
        touched, reached: (H,W) uint8, what is replaced; the same with its margin.
        before: lumas of render and target in the frame before, of the same face; None: no flow.
        source: what the source looks like, once that is known.
    """

    target: Frame
    render: Frame
    row: FaceRow
    level: int
    judged: bool
    pasted: bool
    beside: bool
    touched: Pixels
    reached: Pixels
    before: Lumas | None
    source: Future[SourceFaces]

    @property
    def crop(self) -> Pixels:
        """The source's crop to paste, in align's template; waits until there is one."""
        return self.source.result().nearest(self.row.pose_deg)

    @property
    def lumas(self) -> Lumas:
        """Of render and target."""
        return self.render.luma(), self.target.luma()

    @property
    def frames(self) -> Frames:
        """What is compared outside of the mask."""
        return Frames(self.target.luma(), self.render.luma(), self.reached)


@dataclass(frozen=True)
class Face:
    """A measured face.

    Attributes:
        view: its pixels.
        row: which face it is.
        scores: by column of per_frame.parquet.
        meshes: (468,3) of render and target in square px; with `pasted` of that as well; none
            where only who it is was measured.
        looks: by prefix, of a face that was measured whole.
        embeddings, seconds: by prefix: of the pack's embedder (D,), of the second (E,).
        features: by prefix, (C,) for FID and KID.
    """

    view: View
    row: FaceRow
    scores: Scores
    meshes: Sequence[Values] = ()
    looks: dict[str, Look] = field(default_factory=dict)
    embeddings: dict[str, Values] = field(default_factory=dict)
    seconds: dict[str, Values] = field(default_factory=dict)
    features: dict[str, Values] = field(default_factory=dict)


def seen(frame: Frame, place: Place, size: tuple[int, int]) -> Pixels:
    """View of a face in a frame of `size` (width, height)."""
    box = alignment.region(place.to_view, views.VIEW_PX, *size)
    return views.warped(frame.region_rgb(*box), (box[0], box[1]), place)


def measure(task: Task, using: Measures) -> Face:
    """Measure the face of one frame; depends on its arguments alone."""
    place, size = task.row.place(), using.frame_size
    target, render = (seen(frame, place, size) for frame in (task.target, task.render))
    shown = task.pasted or task.beside
    pasted = views.paste(target, task.crop, place) if shown else None
    view = View(task.target.frame_index, place, target, render, pasted)
    named, others = {RENDER: render, COPIED: target}, dict[str, Pixels]()
    if pasted is not None:
        (named if task.pasted else others)[PASTED] = pasted
    if task.level == sampling.FACE:
        return _recognised(view, task.row, named | others, using)
    found = _measured(task, view, named, using)
    if not others or task.level == sampling.MOTION:
        return found
    more = _recognised(view, task.row, others, using)
    embeddings, features = found.embeddings | more.embeddings, found.features | more.features
    return replace(found, embeddings=embeddings, features=features)


def _measured(task: Task, view: View, named: dict[str, Pixels], using: Measures) -> Face:
    """A face whose motion or all is measured; `named` begins with render and target."""
    pictures, place = list(named.values()), view.place
    meshes, beliefs = using.networks.mesh(np.stack(pictures))
    found: Scores = {"mesh_score": float(beliefs[0])}
    if task.before is not None:
        found |= flow_scores(task.lumas, task.before, task.touched)
    from_view = using.from_view(place)
    placed = list(alignment.apply_mesh(from_view, np.asarray(meshes, np.float64)))
    if task.level == sampling.MOTION:
        return Face(view, task.row, found, placed)
    found_looks = look(pictures, meshes, place, using, judged=task.judged)
    looks = dict(zip(named, found_looks, strict=True))
    found |= scores.of_frames(task.frames, "sampled") | _scores(looks, place)
    return Face(
        view,
        task.row,
        found,
        placed,
        looks,
        {p: one.embedding for p, one in looks.items()},
        {p: one.second for p, one in looks.items() if one.second is not None},
        {p: perceptual.pooled(one.layers) for p, one in looks.items()},
    )


def _recognised(view: View, row: FaceRow, named: dict[str, Pixels], using: Measures) -> Face:
    """Who views of one place show, and their features, by prefix, without a mesh."""
    crops = np.stack([views.embedder_crop(picture, view.place) for picture in named.values()])
    embeddings, layers = using.networks.embed(crops)
    rows = {prefix: index for index, prefix in enumerate(named)}
    return Face(
        view,
        row,
        {},
        embeddings={p: np.asarray(embeddings[i], np.float64) for p, i in rows.items()},
        features={p: perceptual.pooled([layer[i] for layer in layers]) for p, i in rows.items()},
    )


def _scores(named: dict[str, Look], place: Place) -> Scores:
    """Scores of render, target and paste, and those of the pair."""
    replaced, render, target = Replaced(place.mask), named[RENDER], named[COPIED]
    found = scores.of_look(target, "angle", OWN)
    for prefix, one in named.items():
        found |= scores.of_pair(Pair(one, target, replaced), prefix)
        found |= scores.of_look(one, "unit", OWN if prefix == COPIED else prefix)
    return found | scores.of_look(render, "colour") | scores.of_look(target, "colour", OWN)


def flow_scores(now: Lumas, before: Lumas, touched: Pixels) -> Scores:
    """Scores over time in the box of what is replaced; none for a face too small for flow."""
    x0, y0, x1, y1 = _box(touched)
    if min(x1 - x0, y1 - y0) < SMALLEST_FLOW_PX:
        return {}
    (a, b), (c, d) = ([p[y0:y1, x0:x1] for p in pair] for pair in (now, before))
    return scores.of_motion(Motion((a, b), (c, d), touched[y0:y1, x0:x1]))


def _box(mask: Pixels) -> tuple[int, int, int, int]:
    """Box x0, y0, x1, y1 around what is above 0, with a margin for the flow; empty if nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    height, width = mask.shape
    return (
        max(int(columns[0]) - FLOW_MARGIN_PX, 0),
        max(int(rows[0]) - FLOW_MARGIN_PX, 0),
        min(int(columns[-1]) + 1 + FLOW_MARGIN_PX, width),
        min(int(rows[-1]) + 1 + FLOW_MARGIN_PX, height),
    )
