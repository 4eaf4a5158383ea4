"""Experiments as a table that fits a screen: what `dvc exp show` knows, a line per swap.

`dvc exp show` makes a column of every number of every swap and of every parameter, several
hundred of them. Here an experiment has a line per swap, and the columns are the few metrics of the
index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likeness.contracts.errors import GraphError
from likeness.evaluation.report.figures import KEY_PATHS, LINES, shown
from likeness.evaluation.report.rows import ARROWS

KNOWN = {line.path: line for line in LINES}


def experiments(root: Path, commits: int) -> list[dict[str, Any]]:
    """What DVC knows of the working tree, the last `commits` commits and their experiments.

    Raises:
        GraphError: DVC cannot say.
    """
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        found: list[dict[str, Any]] = dvc.api.exp_show(repo=str(root.resolve()), num=commits)
    except DvcException as error:
        raise GraphError("experiments", str(error), "correct that, then try again") from None
    return found


def lines(
    found: Sequence[Mapping[str, Any]], swaps: Sequence[str], lone: str | None = None
) -> list[dict[str, Any]]:
    """A line per experiment and swap: experiment, created, swap, and a number per key metric.

    Experiments that have no number of a swap make no line for it.

    Args:
        found: rows, as `experiments` gives them.
        swaps: to make lines for.
        lone: the only swap that has been evaluated, if there is one: DVC names a metric by its
            file only where two files have it.
    """
    rows = []
    for row in found:
        for swap in swaps:
            prefix = f"data/swaps/{swap}/report/metrics.json:"
            numbers = {path: _number(row.get(prefix + path)) for path in KEY_PATHS}
            if swap == lone:
                bare = {path: _number(row.get(path)) for path in KEY_PATHS}
                numbers |= {path: value for path, value in bare.items() if value is not None}
            if any(value is not None for value in numbers.values()):
                name = row.get("Experiment") or row.get("rev")
                line = {"experiment": name, "created": row.get("Created") or "", "swap": swap}
                rows.append(line | numbers)
    return rows


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]  # narrowed above


def cells(line: Mapping[str, Any]) -> tuple[str, ...]:
    """A line as texts for a terminal."""
    texts = (shown(line[path], KNOWN[path].format) for path in KEY_PATHS)
    return (str(line["experiment"]), str(line["created"]), str(line["swap"]), *texts)


def heading() -> tuple[str, ...]:
    """Names of the columns, with which way is better."""
    labels = (f"{KNOWN[path].label} {ARROWS[KNOWN[path].better]}" for path in KEY_PATHS)
    return ("experiment", "created", "swap", *labels)
