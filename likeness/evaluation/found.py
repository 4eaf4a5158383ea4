"""What was measured so far: columns of scores, and vectors to compare once all are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from likeness.evaluation import scores
from likeness.evaluation.gallery import SourceFaces
from likeness.evaluation.per_frame import SCORES
from likeness.evaluation.reference import Reference
from likeness.evaluation.scores import Scores
from likeness.metrics import identity
from likeness.metrics.catalogue.baselines import COPIED

Values = npt.NDArray[np.float64]
Vectors = dict[str, dict[int, Values]]


class Vectored(Protocol):
    """A measured face, or baselines of one: vectors by prefix."""

    @property
    def embeddings(self) -> Mapping[str, Values]:
        """By the pack's embedder, (D,)."""

    @property
    def seconds(self) -> Mapping[str, Values]:
        """By the second embedder, (E,)."""

    @property
    def features(self) -> Mapping[str, Values]:
        """For FID and KID, (C,)."""


@dataclass
class Found:
    """Scores and vectors of a clip.

    Attributes:
        frames: of the clip.
        without: scores that mean nothing here and are not kept, whatever their prefix.
        columns: scores by name, (frames,) float64, nan where not measured; those of
            per_frame.parquet, and of the baselines under their prefixes.
        embeddings, seconds, features: by prefix and frame, see evaluation.face.Face.
    """

    frames: int
    without: tuple[str, ...] = ()
    columns: dict[str, Values] = field(init=False)
    embeddings: Vectors = field(init=False, default_factory=dict)
    seconds: Vectors = field(init=False, default_factory=dict)
    features: Vectors = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = {name: np.full(self.frames, np.nan) for name in SCORES}

    def set(self, index: int, given: Scores) -> None:
        """Keep scores of a frame."""
        for name, value in given.items():
            if name.endswith(self.without):
                continue
            if name not in self.columns:
                self.columns[name] = np.full(self.frames, np.nan)
            self.columns[name][index] = value

    def scores(self, index: int) -> Scores:
        """All scores of a frame by column."""
        return {name: float(self.columns[name][index]) for name in SCORES}

    def keep(self, index: int, given: Vectored) -> None:
        """Keep the vectors of a frame."""
        for kept, vectors in (
            (self.embeddings, given.embeddings),
            (self.seconds, given.seconds),
            (self.features, given.features),
        ):
            for prefix, vector in vectors.items():
                kept.setdefault(prefix, {})[index] = vector

    def add(self, reference: Reference) -> None:
        """Add the vectors of baselines that were recognised before."""
        for kept, known in (
            (self.embeddings, reference.embeddings),
            (self.features, reference.features),
        ):
            for prefix, vectors in known.items():
                if vectors:
                    kept.setdefault(prefix, {}).update(vectors)

    def compare(self, source: SourceFaces) -> None:
        """Compare all faces with the source's gallery, and with that of the target's own faces."""
        self._identities("identity", self.embeddings, source.gallery)
        if source.second is not None:
            self._identities("independent", self.seconds, source.second)

    def _identities(self, name: str, vectors: Vectors, source: Values) -> None:
        if not vectors:
            return
        target = identity.centroid(np.stack(list(vectors[COPIED.prefix].values())))
        for prefix, own in vectors.items():
            for who, centroid in (("source", source), ("target", target)):
                column = scores.cosines(own, centroid, self.frames)
                self.columns[f"{prefix}{name}_{who}"] = column

    def crowds(self) -> dict[str, Sequence[Values]]:
        """Features by prefix, in the order of their frames."""
        return {
            prefix: [vectors[index] for index in sorted(vectors)]
            for prefix, vectors in self.features.items()
        }
