"""Identity retrieval: whose face is nearest to a swapped one, over everybody that is known.

The protocol of FaceShifter on FaceForensics++ (Li et al. 2020; Roessler et al. 2019): 10 evenly
spaced frames of each swapped video; each face is looked up by cosine among the faces of all source
frames; retrieved is the share whose nearest face belongs to the right source.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from likeness.metrics import identity, spacing

Embeddings = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
FRAMES = 10
"""Frames of a video, as in the protocol."""
CHUNK_FACES = 4096


def even_frames(count: int, wanted: int = FRAMES) -> npt.NDArray[np.int64]:
    """At most `wanted` frame indices of 0..count-1, each in the middle of an equal stretch."""
    return spacing.evenly(count, wanted)


class Search:
    """Finds for each probe the nearest of all gallery faces, which arrive in batches.

    Memory holds the probes and one batch, however many faces the gallery has. Of equally near
    faces the first one added counts.

    Args:
        probes: (N,D) embeddings to look up.

    Attributes:
        cosines: (N,) to the nearest face so far, -1 before any.
        owners: (N) whose face that was, "" before any.
        faces: number of gallery faces so far.
    """

    def __init__(self, probes: Embeddings) -> None:
        self._probes = identity.unit(probes)
        self.cosines: Values = np.full(len(self._probes), -1.0)
        self.owners: list[str] = [""] * len(self._probes)
        self.faces = 0

    def add(self, owner: str, faces: Embeddings) -> None:
        """Add gallery faces (M,D) of `owner`: an identity or a video."""
        vectors = identity.unit(faces)
        for first in range(0, len(vectors), CHUNK_FACES):
            found = (self._probes @ vectors[first : first + CHUNK_FACES].T).max(axis=1, initial=-1)
            for row in np.flatnonzero((found > self.cosines) | (self.faces + first == 0)):
                self.cosines[row], self.owners[row] = min(found[row], 1.0), owner
        self.faces += len(vectors)


def top_1(expected: Sequence[str], found: Sequence[str]) -> float:
    """Share of faces retrieved as who they should be, 0-1; nan for none."""
    if not expected:
        return float("nan")
    hits = [want == got for want, got in zip(expected, found, strict=True)]
    return float(np.mean(hits))


def confusion(expected: Sequence[str], found: Sequence[str]) -> dict[str, dict[str, int]]:
    """How often who should be retrieved (outer key) was retrieved as whom (inner key), sorted."""
    table: dict[str, dict[str, int]] = {}
    for want, got in sorted(zip(expected, found, strict=True)):
        row = table.setdefault(want, {})
        row[got] = row.get(got, 0) + 1
    return table
