"""Who is who: cosines to a gallery, and the vote of a track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Detections:
    """Columns of detections.parquet that judging needs, N rows by frame.

    Attributes:
        embedding: (N,D) unit length. track_index: (N,), -1 where no track took it.
        measured: (N,) false where the embedding was interpolated.
    """

    frame_index: Ints
    bbox: Floats
    det_score: Floats
    sharpness: Floats
    embedding: Floats
    measured: npt.NDArray[np.bool_]
    track_index: Ints

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
