"""Metrics that people know by name: where their values and baselines stand in metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from likeness.metrics import catalogue
from likeness.metrics.catalogue import CENTRES
from likeness.metrics.catalogue import baselines as known
from likeness.metrics.catalogue.metric import Line as Words
from likeness.metrics.catalogue.metric import Metric

Tree = Mapping[str, Any]
BASELINES = {row.key: row.label for row in sorted(known.BASELINES, key=lambda row: row.at)}
"""Keys of baselines in metrics.json, in the order of their columns -> what people read."""
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def value_at(tree: Tree, path: str) -> float | None:
    """Number at a dotted path; None where there is none."""
    node: Any = tree
    for key in path.split(".") if path else ():
        node = node.get(key) if isinstance(node, Mapping) else None
    is_number = isinstance(node, int | float) and not isinstance(node, bool)
    return node if is_number else None


def shown(value: float | None, form: str) -> str:
    """A number as the table writes it; a dash for none."""
    return NOTHING if value is None else format(value, form).replace("-", MINUS)


@dataclass(frozen=True)
class Line:
    """One metric as the table shows it.

    Attributes:
        label: its name.
        hint: what it means, in a few words.
        better: "higher", "lower", "target" (as near to the target copied as can be), "" unknown.
        path: where its value stands in metrics.json, dotted.
        format: of the value.
        least: smallest difference between two runs that anybody would see or act on.
    """

    label: str
    hint: str
    better: str
    path: str
    format: str = ".3f"
    least: float = 0.005

    def value(self, metrics: Tree) -> float | None:
        """Its value; None where nothing was measured."""
        return value_at(metrics, self.path)

    def baseline(self, metrics: Tree, name: str) -> float | None:
        """The same of a baseline; None where there is none.

        It stands beside the value, as a number or with the same leaf below it.
        """
        parent, _, leaf = self.path.rpartition(".")
        beside = f"{parent}.{name}" if parent else name
        below = value_at(metrics, f"{beside}.{leaf}")
        return value_at(metrics, beside) if below is None and leaf in CENTRES else below

    def interval(self, metrics: Tree) -> tuple[float, float] | None:
        """Its 95 % interval of confidence; None where there is none."""
        parent = self.path.rpartition(".")[0]
        low, high = (value_at(metrics, f"{parent}.{end}") for end in ("low", "high"))
        return None if low is None or high is None else (low, high)

    def aside(self, metrics: Tree) -> str:
        """What belongs to the hint: the target's own value, or the interval of confidence."""
        own = value_at(metrics, f"{self.path}_target")
        if own is not None:
            return f"{self.hint} ({shown(own, self.format)})"
        ends = self.interval(metrics)
        if ends is None:
            return self.hint
        return f"{self.hint}; 95 %: {' to '.join(shown(end, self.format) for end in ends)}"


def line_of(row: Metric) -> Line:
    """A row of the catalogue as a line; one that nobody has put into words by its path alone."""
    stated = row.line or Words(named(row.path), form=".4g")
    return Line(stated.label, stated.hint, row.better, row.path, stated.form, stated.least)


def named(path: str) -> str:
    """A label made from a path: "gaze_error_deg.mean" -> "Gaze error deg"."""
    whole = path.removesuffix(".mean").removesuffix(".value")
    words = whole.replace(".", ": ").replace("_", " ")
    return words[:1].upper() + words[1:]


_SHOWN = sorted(
    ((row.line.at, row.line.key, line_of(row)) for row in catalogue.METRICS if row.line),
    key=lambda entry: entry[0],
)
LINES = tuple(line for _, _, line in _SHOWN)
"""The lines that people know by name, in the order in which they read them."""
KEY_PATHS = tuple(line.path for _, key, line in _SHOWN if key)
"""The few of them that stand on the index."""
