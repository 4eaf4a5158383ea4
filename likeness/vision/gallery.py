"""Who is who: cosines to a gallery, and the vote of a track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
SAME_FACE = 0.5
"""Share of the smaller box from which two boxes of a frame are taken to show one face."""


@dataclass(frozen=True)
class Detections:
    """Columns of detections.parquet that judging needs, N rows by frame.

    Attributes:
        embedding: (N,D) unit length. track_index: (N,), -1 where no track took it.
        measured: (N,) false where the embedding was interpolated.
        shot_index: (N,) of their frames. mesh_agrees: (N,) false where a mesh disagrees with the
            five points.
    """

    frame_index: Ints
    bbox: Floats
    det_score: Floats
    sharpness: Floats
    embedding: Floats
    measured: npt.NDArray[np.bool_]
    track_index: Ints
    shot_index: Ints
    mesh_agrees: npt.NDArray[np.bool_]

    @property
    def size_px(self) -> Floats:
        """Shorter side (N,) of the boxes."""
        return (self.bbox[:, 2:] - self.bbox[:, :2]).min(axis=1)


def cosines(embedding: Floats, gallery: Floats, best: int, own: Ints | None = None) -> Floats:
    """Mean of the `best` highest cosines (N,) of embeddings (N,D) to a gallery (G,D).

    `own` (N,) is each row's own place in the gallery, or -1: no face vouches for itself.
    """
    if not len(gallery):
        return np.zeros(len(embedding), np.float32)
    table = embedding @ gallery.T
    if own is not None and len(gallery) > 1:
        rows = np.flatnonzero(own >= 0)
        table[rows, own[rows]] = -np.inf
        best = min(best, len(gallery) - 1)
    best = min(best, len(gallery))
    top = np.partition(table, len(gallery) - best, axis=1)[:, len(gallery) - best :]
    return top.mean(axis=1).astype(np.float32)


def dominant_track(found: Detections, usable: npt.NDArray[np.bool_]) -> int | None:
    """Track with the most usable face on it (boxes' heights summed up), or None without any."""
    rows = usable & (found.track_index >= 0)
    if not rows.any():
        return None
    heights = found.bbox[rows, 3] - found.bbox[rows, 1]
    # Rounded, so that the order of summing cannot decide between equals.
    weight = np.round(np.bincount(found.track_index[rows], heights.astype(np.float64)), 3)
    return int(weight.argmax())


def sample_track(found: Detections, usable: npt.NDArray[np.bool_], track: int, count: int) -> Ints:
    """Rows of a track for a gallery: its clearer half by score, spread evenly over time."""
    rows = np.flatnonzero(usable & found.measured & (found.track_index == track))
    if not len(rows):
        rows = np.flatnonzero(usable & (found.track_index == track))
    clear = rows[found.det_score[rows] >= np.median(found.det_score[rows])]
    places = np.linspace(0, len(clear) - 1, min(count, len(clear))).round().astype(int)
    return clear[np.unique(places)].astype(np.int32)


def vote(
    found: Detections, similarity: Floats, usable: npt.NDArray[np.bool_], threshold: float
) -> npt.NDArray[np.bool_]:
    """Whether each detection's track belongs to the identity: (N,).

    The median over the track's usable, measured embeddings decides; over all its usable ones if
    none was measured.
    """
    belongs = np.zeros(len(similarity), np.bool_)
    for track in np.unique(found.track_index[found.track_index >= 0]):
        rows = found.track_index == track
        for chosen in (rows & usable & found.measured, rows & usable):
            if chosen.any():
                belongs[rows] = np.median(similarity[chosen]) >= threshold
                break
    alone = found.track_index < 0
    belongs[alone] = similarity[alone] >= threshold
    return belongs


def steady(
    found: Detections, candidates: npt.NDArray[np.bool_], excess: Floats
) -> npt.NDArray[np.bool_]:
    """Of the candidates (N,) those on tracks that are not rivals of a better one in their shot.

    Two tracks are rivals if they stand beside each other in some frame: a person and their
    reflection, say. Which of them stays is decided for the whole shot, so that the choice never
    jumps from one to the other; a track that is only ever seen alone goes on where another ended.
    The better track is the one with the larger sum of `excess` (N,), what a face has above the
    threshold: long ones win over short ones, the right person over one that only just passes.
    """
    chosen = np.zeros(len(candidates), np.bool_)
    for shot in np.unique(found.shot_index[candidates]):
        here = found.shot_index == shot
        rows = np.flatnonzero(candidates & here)
        names, track = np.unique(found.track_index[rows], return_inverse=True)
        # All that was seen of a track, not only what can be used of it, tells where it stood.
        whole = [
            np.flatnonzero(here & (found.track_index == name)).astype(np.int32) for name in names
        ]
        # Rounded, so that the order of summing cannot decide between equals.
        weight = np.round(np.bincount(track, np.maximum(excess[rows], 1e-3)), 4)
        kept: list[int] = []
        for one in np.lexsort((names, -weight)).tolist():
            if not any(_beside(found, whole[one], whole[other]) for other in kept):
                kept.append(one)
        chosen[rows[np.isin(track, kept)]] = True
    return chosen


def _beside(found: Detections, first: Ints, second: Ints) -> bool:
    """Whether two tracks' rows stand apart in one frame; two boxes of one face do not."""
    frames, mine, other = np.intersect1d(
        found.frame_index[first], found.frame_index[second], return_indices=True
    )
    if not len(frames):
        return False
    one, two = found.bbox[first[mine]], found.bbox[second[other]]
    common = np.minimum(one[:, 2:], two[:, 2:]) - np.maximum(one[:, :2], two[:, :2])
    share = np.prod(np.maximum(common, 0), axis=1)
    smaller = np.minimum(*(np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (one, two)))
    return bool((share < SAME_FACE * smaller).any())


def best_in_frame(
    found: Detections, candidates: npt.NDArray[np.bool_], similarity: Floats
) -> npt.NDArray[np.bool_]:
    """Of the candidates in a frame the most similar; the better score, then the first, if equal."""
    rows = np.flatnonzero(candidates)
    order = rows[
        np.lexsort((rows, -found.det_score[rows], -similarity[rows], found.frame_index[rows]))
    ]
    frames = found.frame_index[order]
    first = np.concatenate([[True], frames[1:] != frames[:-1]]) if len(order) else np.zeros(0, bool)
    chosen = np.zeros(len(candidates), np.bool_)
    chosen[order[first]] = True
    return chosen
