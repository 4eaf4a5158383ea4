"""Which columns of per_frame.parquet are drawn together over the frames of a clip.

Columns that no chart names get one of their own: a new metric shows without any change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from likeness.evaluation.report import charts, rows
from likeness.evaluation.report.charts import Curve as Drawn
from likeness.metrics.catalogue import METRICS
from likeness.metrics.catalogue.baselines import COPIED, OWN, PASTED
from likeness.metrics.catalogue.metric import Chart, Curve

Values = npt.NDArray[np.float64]
Columns = Mapping[str, Values]
PREFIXES = {
    "": "swap",
    OWN: "target",
    **{row.prefix: row.label.lower() for row in (COPIED, PASTED)},
}
"""Beginnings of columns that measure the same thing on something else."""
NAMED = {OWN: "target", COPIED.prefix: "target", PASTED.prefix: "source pasted"}
"""What they are called in the charts of the catalogue."""


@dataclass(frozen=True)
class Group:
    """Columns of one chart: label -> column, and a y that must be visible."""

    title: str
    hint: str
    columns: dict[str, str] = field(default_factory=dict)
    floor: float | None = None


def _charts() -> tuple[Group, ...]:
    """The catalogue's charts: the swap's own lines first, then what stands beside them."""
    rows_of: dict[Chart, list[tuple[Curve, str]]] = {}
    for row in METRICS:
        if row.curve is not None:
            rows_of.setdefault(row.curve.chart, []).append((row.curve, row.column))
    found = []
    for chart, lines in sorted(rows_of.items(), key=lambda entry: entry[0].at):
        columns = {curve.label: column for curve, column in lines}
        columns |= {NAMED[p]: p + column for curve, column in lines for p in curve.beside}
        found.append(Group(chart.title, chart.hint, columns, chart.floor))
    return tuple(found)


def stem(column: str) -> str:
    """A column's name without what it was measured on."""
    found = next((p for p in PREFIXES if p and column.startswith(p)), "")
    return column.removeprefix(found)


GROUPS = _charts()
UNSEEN = frozenset(stem(row.column) for row in METRICS if not row.drawn)
"""Stems that stand in the table of frames alone: no reader has asked for them as curves."""
WORDS = {"higher": "higher is better", "lower": "lower is better"}


def groups(columns: Columns) -> list[Group]:
    """The named charts, then one for every stem that none of them shows."""
    named = [g for g in GROUPS if any(name in columns for name in g.columns.values())]
    shown = {stem(name) for group in GROUPS for name in group.columns.values()} | UNSEEN
    others: dict[str, dict[str, str]] = {}
    for name in columns:
        if stem(name) not in shown:
            label = PREFIXES[name.removesuffix(stem(name))]
            others.setdefault(stem(name), {})[label] = name
    for key, found in others.items():
        order = {label: found[label] for label in PREFIXES.values() if label in found}
        title = key[:1].upper() + key[1:].replace("_", " ")
        named.append(Group(title, WORDS.get(rows.direction(key), ""), order))
    return named


def _says_anything(label: str, values: Values) -> bool:
    """Whether a line is worth drawing: an error of the target to itself is 0 and stays there."""
    known = values[np.isfinite(values)]
    return bool(len(known)) and (label != PREFIXES["copied_"] or bool(np.ptp(known)))


def draw(columns: Columns, shots: npt.NDArray[np.integer]) -> list[charts.Chart]:
    """Charts over the frames; a column without any value is left out.

    Args:
        columns: scores by name, (T,) with nan where not measured.
        shots: (T,) shot of each frame; cuts are marked.
    """
    x = np.arange(len(shots), dtype=np.float64)
    cuts = (np.flatnonzero(np.diff(shots)) + 1).tolist()
    drawn = []
    for group in groups(columns):
        lines = [
            Drawn(label, columns[name])
            for label, name in group.columns.items()
            if name in columns and _says_anything(label, columns[name])
        ]
        if lines:
            chart = charts.draw(group.title, group.hint, x, lines, floor=group.floor, marks=cuts)
            drawn += [chart] if chart else []
    return drawn
