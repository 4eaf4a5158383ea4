"""Numbers as people read them: every metric with its baselines and which way is better.

Works on metrics.json alone and needs neither pictures nor networks, so that the index and the
comparisons read the same table as the report. What `LINES` does not name shows up all the same:
a mapping with "mean" or "value" becomes a line, with the baselines that stand beside that key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from likeness.evaluation.report.figures import BASELINES, LINES, Line, Tree, named, shown
from likeness.metrics.catalogue import CENTRES, METRICS

FACTS = ("frames", "embedder", "judge", "gates", "gates_passed", "baselines")
"""Top-level keys that hold no metric."""
ARROWS = {"higher": "↑", "lower": "↓", "target": "≈", "": ""}


def direction(path: str) -> str:
    """Which way a metric is better: "higher", "lower", "target", or "" where no row says so."""
    return next((row.better for row in METRICS if path in (row.path, row.column)), "")


def leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything in nested mappings, in their order."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def _means(tree: Tree, prefix: str = "") -> Iterator[str]:
    """Paths of the figures that stand for their metric, in the order of the file."""
    for key, value in tree.items():
        if key in BASELINES or (not prefix and key in FACTS) or not isinstance(value, Mapping):
            continue
        yield from (f"{prefix}{key}.{leaf}" for leaf in CENTRES if leaf in value)
        yield from _means(value, f"{prefix}{key}.")


def lines(metrics: Tree) -> list[Line]:
    """The named lines that `metrics` knows, then those that it alone names."""
    stated = [line for line in LINES if _is_stated(metrics, line.path)]
    known = {line.path for line in stated}
    top = (k for k, v in metrics.items() if k not in FACTS and not isinstance(v, Mapping | str))
    others = [path for path in (*_means(metrics), *top) if path not in known]
    return stated + [Line(named(p), "", direction(p), p, ".4g") for p in others]


def _is_stated(metrics: Tree, path: str) -> bool:
    """Whether the key itself is there, measured or null."""
    node: Any = metrics
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return False
        node = node[key]
    return True


def reason_for(metrics: Tree, path: str) -> str:
    """Why a value is null, where metrics.json says so: the nearest "reason" on the way to it."""
    node: Any = metrics
    found = ""
    for key in path.split("."):
        if not isinstance(node, Mapping):
            break
        found = str(node.get("reason") or found)
        node = node.get(key)
    return found


def _cell(line: Line, metrics: Tree, baseline: str) -> dict[str, str]:
    """A baseline's column of a line: its name, its value, why there is none."""
    value, parent = line.baseline(metrics, baseline), line.path.rpartition(".")[0]
    node: Any = metrics.get(parent) or {}
    reason = "" if value is not None else str(node.get("reasons", {}).get(baseline, ""))
    return {"name": BASELINES[baseline], "value": shown(value, line.format), "reason": reason}


def baselines(metrics: Tree) -> list[str]:
    """Baselines that any line knows, in the order of their columns."""
    found = lines(metrics)
    return [b for b in BASELINES if any(line.baseline(metrics, b) is not None for line in found)]


def table(metrics: Tree) -> list[dict[str, Any]]:
    """Rows for the template: label, hint, path, better, arrow, value, reason, baselines."""
    names = baselines(metrics)
    rows = []
    for line in lines(metrics):
        value = line.value(metrics)
        rows.append(
            {
                "label": line.label,
                "hint": line.aside(metrics),
                "path": line.path,
                "better": line.better,
                "arrow": ARROWS[line.better],
                "value": shown(value, line.format),
                "reason": reason_for(metrics, line.path) if value is None else "",
                "baselines": [_cell(line, metrics, name) for name in names],
            }
        )
    return rows
