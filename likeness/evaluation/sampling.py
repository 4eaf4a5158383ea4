"""Which frames the networks look at, so that a long clip costs no more than a short one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from likeness.metrics import spacing

Indices = npt.NDArray[np.integer]
NOTHING, MOTION, FACE, ALL = 0, 1, 2, 3
"""What of a face is measured: nothing, its mesh alone, who it is, or everything."""
WHOLE, IN_RUNS = 3, 2
"""One of so many embedded frames is measured whole; one of so many of those has its run."""
RUN = (-1, 0, 1)
"""A middle frame and its neighbours."""


def runs(frames: Indices, shots: Indices, tracks: Indices, most: int) -> npt.NDArray[np.int64]:
    """What to measure of faces (N,): `NOTHING`, `MOTION`, `FACE` or `ALL`.

    All of everything up to twice `most`. Else who it is on `most` evenly spaced frames, everything
    on every third of these, and of every second of those its neighbours' motion: three frames in a
    row are what a second difference needs.

    Args:
        frames, shots, tracks: of each face, in order of frames.
        most: see above; a run at a cut or gap is shorter.
    """
    count = len(frames)
    if count <= 2 * most:
        return np.full(count, ALL)
    chosen = np.full(count, NOTHING)
    seen = spacing.evenly(count, most)
    whole = seen[spacing.evenly(most, max(most // WHOLE, 1))]
    for middle in whole[spacing.evenly(len(whole), max(len(whole) // IN_RUNS, 1))]:
        for place in (middle - 1, middle + 1):
            if 0 <= place < count and follows(frames, shots, tracks, middle, place):
                chosen[place] = MOTION
    chosen[seen], chosen[whole] = FACE, ALL
    return chosen


def triples(
    measure: Indices, frames: Indices, shots: Indices, tracks: Indices, wanted: int
) -> npt.NDArray[np.int64]:
    """Middles of at most `wanted` evenly spaced runs of three measured faces, as indices (K,).

    Runs do not overlap. Where no three measured faces follow each other, single ones stand in.

    Args:
        measure: of each face, as `runs` gives it.
        frames, shots, tracks: of each face, in order of frames.
        wanted: runs at most.
    """
    taken = (measure == MOTION) | (measure == ALL)
    whole = np.flatnonzero(measure == ALL)
    inner = [
        middle
        for middle in whole.tolist()
        if 0 < middle < len(frames) - 1
        and all(
            taken[p] and follows(frames, shots, tracks, middle, p) for p in (middle - 1, middle + 1)
        )
    ]
    chosen: list[int] = []
    for middle in inner:
        if not chosen or middle - chosen[-1] >= len(RUN):
            chosen.append(middle)
    found = np.array(chosen or whole.tolist(), np.int64)
    return found[spacing.evenly(len(found), wanted)]


def follows(frames: Indices, shots: Indices, tracks: Indices, first: int, second: int) -> bool:
    """Whether two faces are as many frames as rows apart, in one shot and track."""
    apart = int(frames[second]) - int(frames[first]) == second - first
    return bool(apart and shots[first] == shots[second] and tracks[first] == tracks[second])


def clean(similarity: npt.NDArray[np.floating], mesh_error: npt.NDArray[np.floating]) -> Indices:
    """Indices of crops worth comparing with: not the least similar nor the worst fitted quarter.

    A hand before the face lowers the one and raises the other.
    """
    if not len(similarity):
        return np.zeros(0, np.int64)
    kept = (similarity >= np.quantile(similarity, 0.25)) & (
        mesh_error <= np.quantile(mesh_error, 0.75)
    )
    return np.flatnonzero(kept) if kept.any() else np.arange(len(similarity))
