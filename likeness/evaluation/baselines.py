"""Baselines measured whole: the target encoded anew, the source pasted, mesh_transfer.

They are measured in some runs of three frames, as the render is; in more frames they are only
recognised (metrics.face). The fourth, the target as it is, is measured wherever the render is.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from likeness.evaluation import sampling, scores
from likeness.evaluation.face import COPIED, PASTED, Face, Task, flow_scores, seen
from likeness.evaluation.look import Measures, look
from likeness.evaluation.reference import Reference
from likeness.evaluation.scores import Scores
from likeness.evaluation.views import Place
from likeness.media.codec_roundtrip import PlanesFrame
from likeness.media.colour import rgb_to_yuv420_region, yuv420_region_to_rgb
from likeness.media.footage import Footage
from likeness.media.frame import Frame
from likeness.metrics import perceptual
from likeness.metrics.subjects import Frames, Look, Pair, Replaced, Run
from likeness.vision import alignment
from likeness.vision.box import Box
from likeness.vision.placing import warp_to_box

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Baselines in the middle frame of a run.

    Attributes:
        frame_index: which frame.
        scores: by column, prefixes included.
        embeddings, seconds, features: by prefix, as in metrics.face.
    """

    frame_index: int
    scores: Scores
    embeddings: dict[str, Values]
    seconds: dict[str, Values]
    features: dict[str, Values]


def measure_run(
    run: Sequence[Task], faces: Sequence[Future[Face]], reference: Reference, using: Measures
) -> Measured:
    """Measure all baselines of one run; depends on its arguments alone.

    Args:
        run: frames in a row, the middle one measured whole and with the paste; or a single one.
        faces: what is measured of them; begun before, so that waiting ends.
        reference: their frames.
        using: networks and canonical face.
    """
    known, at = [face.result() for face in faces], len(run) // 2
    middle, place, wanted = run[at], known[at].view.place, known[at].looks[COPIED]
    found = Measured(middle.target.frame_index, {}, {}, {}, {})
    found.scores.update(scores.prefixed(COPIED, _outside(middle.target, middle)))
    replaced = Replaced(place.mask)
    shown = reference.shown(found.frame_index, [task.target for task in run])
    pasted: list[Frame] = [_pasted(task, reference.footage) for task in run]
    for prefix, frames in (shown | {PASTED: pasted}).items():
        if prefix == PASTED:
            given, own = known[at].looks[PASTED], {}
        else:
            given = _look(frames[at], middle, place, using)
            own = scores.of_pair(Pair(given, wanted, replaced)) | scores.of_look(given, "unit")
            own |= _outside(frames[at], middle)
            found.embeddings[prefix] = given.embedding
            found.features[prefix] = perceptual.pooled(given.layers)
            if given.second is not None:
                found.seconds[prefix] = given.second
        own |= scores.of_look(given, "colour") | _motion(frames, run, given, known, using)
        found.scores.update(scores.prefixed(prefix, own))
    return found


def _pasted(task: Task, footage: Footage) -> Frame:
    """The target with the source's crop laid in by the mask, as it is."""
    y, u, v = (plane.copy() for plane in task.target.planes())
    height, width = y.shape
    x0, y0, x1, y1 = alignment.region(task.row.to_mask, len(task.row.mask), width, height)
    box = Box(x0 // 2 * 2, y0 // 2 * 2, min(x1 + x1 % 2, width), min(y1 + y1 % 2, height))
    space = (footage.facts["colour_space"], footage.facts["colour_range"])
    below = yuv420_region_to_rgb((y, u, v), box, *space)
    above = warp_to_box(task.crop, task.row.aligned, box)
    alpha = (task.touched[box.y0 : box.y1, box.x0 : box.x1].astype(np.float32) / 255)[..., None]
    mixed = np.round(above * alpha + below * (1 - alpha)).astype(np.uint8)
    rgb_to_yuv420_region((y, u, v), box, mixed, *space)
    return PlanesFrame(footage, task.target.frame_index, task.target.pts, (y, u, v))


def _look(frame: Frame, task: Task, place: Place, using: Measures) -> Look:
    picture = seen(frame, place, using.frame_size)
    mesh, _ = using.networks.mesh(picture[None])
    return look([picture], mesh, place, using, judged=task.judged)[0]


def _mesh(frame: Frame, place: Place, using: Measures) -> Values:
    """Mesh (468,3) of a face in square px."""
    found, _ = using.networks.mesh(seen(frame, place, using.frame_size)[None])
    return alignment.apply_mesh(using.from_view(place), np.asarray(found[0], np.float64))


def _outside(frame: Frame, task: Task) -> Scores:
    frames = Frames(task.target.luma(), frame.luma(), task.reached)
    return scores.of_frames(frames, "outside", "sampled")


def _motion(
    frames: Sequence[Frame],
    run: Sequence[Task],
    given: Look,
    known: Sequence[Face],
    using: Measures,
) -> Scores:
    """Flow to the frame before, and jitter over the three; nothing for a single frame."""
    if len(run) < len(sampling.RUN):
        return {}
    before, middle, _ = run
    now = (frames[1].luma(), middle.target.luma())
    found = flow_scores(now, (frames[0].luma(), before.target.luma()), middle.touched)
    first, last = (_mesh(frames[i], known[i].view.place, using) for i in (0, 2))
    target = [face.meshes[1] for face in known]
    return found | scores.of_run(Run([first, given.placed, last], target))
