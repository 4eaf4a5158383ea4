"""What `evaluate` measured, frame by frame: per_frame.parquet, and curves.csv for `dvc plots`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from likeness.contracts.tables.base import Writer
from likeness.evaluation import sampling
from likeness.evaluation.clip import Clip
from likeness.evaluation.per_frame import PER_FRAME, SCORES
from likeness.evaluation.reductions import Columns
from likeness.metrics.catalogue import plotted

DECIMALS = 6
CURVES = plotted()
"""Columns of curves.csv; the last is what `dvc plots` draws unless told otherwise."""


def write_per_frame(path: Path, clip: Clip, columns: Columns, facts: dict[str, Any]) -> None:
    """Write one row per frame: what was measured there, null where nothing was."""
    tracks = np.ma.masked_less(clip.tracks, 0)
    cells: dict[str, Any] = {
        "frame_index": np.arange(len(clip.shots), dtype=np.int32),
        "pts_s": clip.pts_s,
        "shot_index": clip.shots.astype(np.int32),
        "track_index": tracks.tolist(),
        "faces": clip.faces.astype(np.int16),
        "sampled": clip.measure == sampling.ALL,
    }
    for name in SCORES:
        values = np.round(columns[name], DECIMALS) + 0.0
        cells[name] = pa.array(values, mask=np.isnan(values))
    with Writer(PER_FRAME, path) as writer:
        writer.add(cells)
        writer.facts.update(facts)


def write_curves(path: Path, columns: Columns) -> None:
    """Write the frames where everything was measured; a cell is empty where one thing was not."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["frame_index", *CURVES])
        for frame in np.flatnonzero(~np.isnan(columns["identity_source"])):
            values = (columns[name][frame] for name in CURVES)
            table.writerow([frame, *("" if np.isnan(v) else f"{v:.{DECIMALS}f}" for v in values)])
