"""Where the frames of baselines come from: what stage `baselines` left, by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.baselines import BASELINES, REENCODED, TRANSFERRED
from likeness.media.footage import Footage, Frame
from likeness.media.recode import PlanesFrame, decoded

Indices = npt.NDArray[np.integer]
PREFIXES = {REENCODED: "reencoded_", TRANSFERRED: "mesh_"}
"""Kind of baseline -> prefix of its columns."""


@dataclass(frozen=True)
class Stored:
    """What there is of one face.

    Attributes:
        frames: 3 for a run, 1 for a single frame.
        whole: to be measured as the swap is, not only recognised.
        streams: by prefix, H.264 of as many frames.
    """

    frames: int
    whole: bool
    streams: Mapping[str, bytes]


@dataclass(frozen=True)
class Reference:
    """All that stage `baselines` made for a swap.

    Attributes:
        footage: the target.
        stored: by middle frame.
        facts: of its table.
    """

    footage: Footage
    stored: Mapping[int, Stored]
    facts: Mapping[str, Any]

    def indices(self, *, whole: bool) -> Indices:
        """Middle frames of what is to be measured whole, or to be recognised, ascending."""
        found = [index for index, one in self.stored.items() if one.whole is whole]
        return np.array(sorted(found), np.int64)

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
    columns = ("frame_index", "kind", "frames", "whole", "stream")
    for row in zip(*(table[name] for name in columns), strict=True):
        middle, kind, frames, whole, stream = (cell.as_py() for cell in row)
        streams = dict(stored[middle].streams) if middle in stored else {}
        stored[middle] = Stored(frames, whole, streams | {PREFIXES[kind]: stream})
    return Reference(footage, stored, facts)
