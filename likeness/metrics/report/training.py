"""How a model came to be: the preview and the loss curves of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.documents import read_json
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.history import HISTORY
from likeness.metrics.report import charts
from likeness.metrics.report.charts import Chart, Curve
from likeness.metrics.report.html import data_uri

Values = npt.NDArray[np.float64]
MOST_LOSSES = 6


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
    values = as_numpy(table["value"])
    labels = [
        f"{p} {n}" if p not in ("", n) else n
        for p, n in zip(table["phase"].to_pylist(), table["name"].to_pylist(), strict=True)
    ]
    if len(set(table["phase"].to_pylist())) == 1:
        labels = table["name"].to_pylist()  # one phase needs no name
    chart = _losses(images, values, np.array(labels))
    return [chart] if chart else []


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
