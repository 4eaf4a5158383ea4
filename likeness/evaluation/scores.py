"""Scores of single faces and frames by column: the catalogue's measures, applied to a subject."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from likeness.metrics import identity
from likeness.metrics.catalogue import measured
from likeness.metrics.catalogue.baselines import OWN
from likeness.metrics.catalogue.metric import Of
from likeness.metrics.measures import OF_FRAMES, OF_LOOK, OF_MOTION, OF_PAIR, OF_RUN
from likeness.metrics.subjects import Frames, Look, Motion, Pair, Run

Values = npt.NDArray[np.float64]
Scores = dict[str, float]


def of_pair(pair: Pair, prefix: str = "") -> Scores:
    """A picture of a face against the target's: alike of the render and of every baseline."""
    return {prefix + name: OF_PAIR[name](pair) for name in measured("pair")}


def of_look(look: Look, of: Of, prefix: str = "") -> Scores:
    """A picture of a face alone: its "unit", "colour" or "angle" columns."""
    names = dict.fromkeys(name.removeprefix(OWN) for name in measured(of))
    return {prefix + name: OF_LOOK[name](look) for name in names}


def of_frames(frames: Frames, *kinds: Of, prefix: str = "") -> Scores:
    """Whole frames: "outside", which every frame has, and "sampled"."""
    return {prefix + name: OF_FRAMES[name](frames) for kind in kinds for name in measured(kind)}


def of_motion(motion: Motion) -> Scores:
    """Two frames in a row."""
    return {name: OF_MOTION[name](motion) for name in measured("motion")}


def of_run(run: Run) -> Scores:
    """Three frames in a row, of the middle one."""
    return {name: OF_RUN[name](run) for name in measured("run")}


def prefixed(prefix: str, scores: Scores) -> Scores:
    """The same with `prefix` before every name."""
    return {prefix + name: value for name, value in scores.items()}


def cosines(vectors: dict[int, Values], centroid: Values, frames: int) -> Values:
    """Column (frames,) of cosines to `centroid` (D,) of the faces by frame; nan elsewhere."""
    column = np.full(frames, np.nan)
    if vectors:
        column[list(vectors)] = identity.cosine(np.stack(list(vectors.values())), centroid)
    return column
