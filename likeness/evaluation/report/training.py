"""How a model came to be: the preview and the loss curves of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.documents import read_json
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.history import HISTORY
from likeness.evaluation.report import charts
from likeness.evaluation.report.charts import Chart, Curve
from likeness.evaluation.report.html import data_uri

Values = npt.NDArray[np.float64]
MOST_LOSSES = 6
VALIDATION = "validation"
"""Phase of the history that holds cosines instead of losses."""


def training(folder: Path) -> dict[str, Any]:
    """Preview, loss curves and settings of a model, as far as its family has any.

    Returns:
        {"preview": a data address or "", "charts": [Chart], "config": content of config.json}.
    """
    preview, history, config = (
        folder / name for name in ("preview.jpg", "history.parquet", "config.json")
    )
    return {
        "preview": data_uri(preview.read_bytes()) if preview.is_file() else "",
        "charts": _charts(history) if history.is_file() else [],
        "config": read_json(config) if config.is_file() else {},
    }


def _charts(history: Path) -> list[Chart]:
    table = HISTORY.read(history)
    images = as_numpy(table["images"]).astype(np.float64)
    values, phases = as_numpy(table["value"]), np.array(table["phase"].to_pylist(), object)
    names, judged = np.array(table["name"].to_pylist(), object), phases == VALIDATION
    several = len(set(phases[~judged])) > 1  # one phase needs no name
    pairs = zip(phases, names, strict=True)
    labels = np.array([f"{p} {n}" if several and p not in ("", n) else n for p, n in pairs], str)
    found = (
        _losses(images[~judged], values[~judged], labels[~judged]),
        _validation(images[judged], values[judged]),
    )
    return [chart for chart in found if chart]


def _validation(images: Values, values: Values) -> Chart | None:
    """Likeness to the source on crops that were held back; nothing where it was looked at once."""
    if len(images) < 2:
        return None
    line, note = Curve("identity", values), "cosine to the source, higher is better"
    return charts.draw("Held-back crops", note, images, [line], x_name="images")


def _losses(images: Values, values: Values, labels: npt.NDArray[np.str_]) -> Chart | None:
    """One chart of all logged values, the most often logged first."""
    if not len(images):
        return None
    names, counts = np.unique(labels, return_counts=True)
    chosen = names[np.argsort(-counts, kind="stable")][:MOST_LOSSES]
    x = np.unique(images)
    lines = []
    for name in chosen:
        line = np.full(len(x), np.nan)
        line[np.searchsorted(x, images[labels == name])] = values[labels == name]
        lines.append(Curve(str(name), line))
    return charts.draw("Training", "loss, lower is better", x, lines, floor=0.0, x_name="images")
