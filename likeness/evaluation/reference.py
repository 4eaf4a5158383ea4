"""Where the frames of baselines come from: what stage `baselines` left, by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.baselines import BASELINES, REENCODED, TRANSFERRED
from likeness.media.codec_roundtrip import PlanesFrame, decoded
from likeness.media.footage import Footage
from likeness.media.frame import Frame
from likeness.metrics.catalogue import baselines

Indices = npt.NDArray[np.integer]
Vectors = dict[str, dict[int, npt.NDArray[np.float64]]]
PREFIXES = {REENCODED: baselines.REENCODED.prefix, TRANSFERRED: baselines.TRANSFERRED.prefix}
"""Kind of baseline -> prefix of its columns."""


@dataclass(frozen=True)
class Stored:
    """Baselines of one face that are to be measured as the swap is.

    Attributes:
        frames: 3 for a run, 1 for a single frame.
        streams: by prefix, H.264 of as many frames.
    """

    frames: int
    streams: Mapping[str, bytes]


@dataclass(frozen=True)
class Reference:
    """All that stage `baselines` made for a swap.

    Attributes:
        footage: the target.
        stored: by middle frame.
        embeddings, features: by prefix and frame, of faces that were recognised: (D,), (C,).
        facts: of its table.
    """

    footage: Footage
    stored: Mapping[int, Stored]
    embeddings: Vectors
    features: Vectors
    facts: Mapping[str, Any]

    @property
    def middles(self) -> Indices:
        """Frames to be measured whole, ascending."""
        return np.array(sorted(self.stored), np.int64)

    @property
    def singles(self) -> Indices:
        """Frames that were recognised, ascending."""
        return np.array(sorted({f for found in self.features.values() for f in found}), np.int64)

    def shown(self, middle: int, run: Sequence[Frame]) -> dict[str, list[Frame]]:
        """The frames of `run`, the middle one `middle`, as each baseline shows them, by prefix.

        A run that is shorter than what is stored gets its middle.

        Raises:
            FootageError: a damaged stream.
        """
        one, found = self.stored[middle], {}
        first = (one.frames - len(run)) // 2
        for prefix, stream in one.streams.items():
            planes = decoded(stream, one.frames)[first : first + len(run)]
            found[prefix] = [
                PlanesFrame(self.footage, frame.frame_index, frame.pts, given)
                for frame, given in zip(run, planes, strict=True)
            ]
        return {prefix: list[Frame](frames) for prefix, frames in found.items()}


def read_reference(path: Path, footage: Footage) -> Reference:
    """Read baselines.parquet of a swap.

    Args:
        path: of the table.
        footage: the target, whose frames the streams are.

    Raises:
        TableError: it is no such table.
    """
    facts, table = BASELINES.check(path), BASELINES.read(path)
    stored: dict[int, Stored] = {}
    embeddings: Vectors = {prefix: {} for prefix in PREFIXES.values()}
    features: Vectors = {prefix: {} for prefix in PREFIXES.values()}
    columns = ("frame_index", "kind", "frames", "stream", "embedding", "features")
    for row in zip(*(table[name] for name in columns), strict=True):
        middle, kind, frames, stream, *vectors = (cell.as_py() for cell in row)
        prefix = PREFIXES[kind]
        if stream is None:
            embeddings[prefix][middle], features[prefix][middle] = map(np.array, vectors)
            continue
        streams = dict(stored[middle].streams) if middle in stored else {}
        stored[middle] = Stored(frames, streams | {prefix: stream})
    return Reference(footage, stored, embeddings, features, facts)
