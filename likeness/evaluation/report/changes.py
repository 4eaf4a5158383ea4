"""Two runs, or several swaps, beside each other: what got better, and which is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from likeness.evaluation.report import figures, rows
from likeness.evaluation.report.figures import Line, Tree

GOOD, BAD, SAME, NEITHER = "good", "bad", "same", "neither"


@dataclass(frozen=True)
class Change:
    """One metric in two runs.

    Attributes:
        line: the metric.
        before, after: its values; None where it was not measured.
        mark: "good", "bad", "same" (as far as the table and the intervals show), or "neither".
    """

    line: Line
    before: float | None
    after: float | None
    mark: str

    @property
    def matters(self) -> bool:
        """Whether anybody would see the difference; what has no number beside it, does."""
        if self.before is None or self.after is None:
            return True
        return abs(self.after - self.before) >= self.line.least

    def cells(self) -> dict[str, str]:
        """For the template: label, hint, before, after, difference, mark."""
        form = self.line.format
        known = self.before is not None and self.after is not None
        difference = (self.after or 0.0) - (self.before or 0.0)
        return {
            "label": self.line.label,
            "path": self.line.path,
            "before": figures.shown(self.before, form),
            "after": figures.shown(self.after, form),
            "difference": figures.shown(difference, f"+{form}") if known else figures.NOTHING,
            "mark": self.mark,
        }


def _badness(line: Line, value: float, metrics: Tree) -> float | None:
    """Lower is better, whatever the metric; None where nobody said which way it is."""
    if line.better == "target":
        reference = line.baseline(metrics, "target_copied")
        return None if reference is None else abs(value - reference)
    return {"higher": -value, "lower": value}.get(line.better)


def _mark(line: Line, before: Tree, after: Tree) -> str:
    old, new = line.value(before), line.value(after)
    if old is None and new is None:
        return SAME
    if old is None or new is None:
        return NEITHER
    if not _shows(line, new - old) or _within(line, before, after):
        return SAME
    worse = [_badness(line, value, tree) for value, tree in ((old, before), (new, after))]
    if worse[0] is None or worse[1] is None or not _shows(line, worse[1] - worse[0]):
        return NEITHER
    return GOOD if worse[1] < worse[0] else BAD


def _shows(line: Line, difference: float) -> bool:
    """Whether a difference is more than nothing in the digits of the table."""
    return float(format(difference, line.format)) != 0


def _within(line: Line, before: Tree, after: Tree) -> bool:
    """Whether both runs have an interval of confidence, and each holds the other's value."""
    ends = [line.interval(tree) for tree in (before, after)]
    if ends[0] is None or ends[1] is None:
        return False
    values = line.value(after), line.value(before)
    return all(
        value is not None and low <= value <= high
        for value, (low, high) in zip(values, (ends[0], ends[1]), strict=True)
    )


def changes(before: Tree, after: Tree) -> list[Change]:
    """Every line that either run knows, the order as in `after`."""
    found = rows.lines(after)
    paths = {line.path for line in found}
    found += [line for line in rows.lines(before) if line.path not in paths]
    return [
        Change(line, line.value(before), line.value(after), _mark(line, before, after))
        for line in found
    ]


def best(line: Line, runs: Sequence[Tree]) -> set[int]:
    """Places of the runs that are best at a metric; empty where none or all of them are."""
    known: dict[int, float] = {}
    for place, metrics in enumerate(runs):
        value = line.value(metrics)
        bad = None if value is None else _badness(line, value, metrics)
        if bad is not None:
            known[place] = float(format(bad, ".4g"))
    if len(known) < 2 or min(known.values()) == max(known.values()):
        return set()
    return {place for place, bad in known.items() if bad == min(known.values())}


def side_by_side(runs: Mapping[str, Tree]) -> list[dict[str, Any]]:
    """Rows of a comparison: label, hint, path, better, and a cell per run with its baselines.

    A cell: value (number or None), text, best, baselines (key -> number or None).
    """
    union: dict[str, Line] = {}
    for metrics in runs.values():
        for line in rows.lines(metrics):
            union.setdefault(line.path, line)
    order = {line.path: place for place, line in enumerate(figures.LINES)}
    chosen = sorted(union.values(), key=lambda line: order.get(line.path, len(order)))
    found = []
    for line in chosen:
        winners = best(line, list(runs.values()))
        cells = [
            {
                "value": line.value(metrics),
                "text": figures.shown(line.value(metrics), line.format),
                "best": place in winners,
                "baselines": {b: line.baseline(metrics, b) for b in figures.BASELINES},
            }
            for place, metrics in enumerate(runs.values())
        ]
        found.append(
            {
                "label": line.label,
                "hint": line.hint,
                "path": line.path,
                "better": line.better,
                "arrow": rows.ARROWS[line.better],
                "format": line.format,
                "cells": cells,
            }
        )
    return found
