"""What people see at the end of a run: a table of stages, and where the results are."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from flows.graph import Graph
from flows.run import StageRun


def swap_outputs(swap: str) -> list[Path]:
    """Results of a swap that a person opens, relative to the root."""
    folder = Path("data/swaps") / swap
    return [folder / "render.mp4", folder / "published.mp4", folder / "report" / "report.html"]


def metrics_rows(swap: str, root: Path) -> list[dict[str, Any]]:
    """Rows {swap, metric, value} from the swap's metrics.json; none if it was not evaluated."""
    path = root / "data/swaps" / swap / "report/metrics.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [{"swap": swap, "metric": name, "value": value} for name, value in _flat(content)]


def _flat(content: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif not isinstance(content, list):
        yield prefix, round(content, 4) if isinstance(content, float) else content


def run_rows(graph: Graph, runs: Sequence[StageRun]) -> list[tuple[str, str, str, str]]:
    """(stage, state, seconds, output) per stage, in running order."""
    found = {run.address: run for run in runs}
    rows: list[tuple[str, str, str, str]] = []
    for node in graph.stages:
        run = found.get(node.address)
        state = run.state if run else "not run"
        seconds = f"{run.seconds:.1f}" if run and run.state != "cached" else ""
        more = f" (+{len(node.outputs) - 1})" if len(node.outputs) > 1 else ""
        rows.append((node.address, state, seconds, f"{node.outputs[0]}{more}"))
    return rows


STYLES = {"ran": "cyan", "cached": "dim", "failed": "bold red", "not run": "yellow"}


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], state_column: int = -1
) -> None:
    """Print a table: a drawn one on a terminal, aligned plain text elsewhere."""
    if not sys.stdout.isatty():
        show_plain(columns, rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        number = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        style = STYLES.get(str(row[state_column]), "") if state_column >= 0 else ""
        table.add_row(*map(str, row), style=style)
    Console().print(table)


def _is_number(value: object) -> bool:
    return str(value).replace(".", "", 1).isdigit() or value == ""


def show_plain(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns parted by two spaces, each as wide as its widest cell."""
    cells = [tuple(map(str, columns)), *[tuple(map(str, row)) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


def show_run(graph: Graph, runs: Sequence[StageRun], swaps: Sequence[str], root: Path) -> None:
    """Print the closing table of a run, and the results of each swap that exist."""
    columns = ("stage", "state", "seconds", "output")
    print()
    show_table("Stages", columns, run_rows(graph, runs), state_column=1)
    for swap in swaps:
        print(f"\n{swap}")
        for path in swap_outputs(swap):
            missing = "" if (root / path).is_file() else "  (not there)"
            print(f"  {path}{missing}")
    states = [run.state for run in runs]
    seconds = sum(run.seconds for run in runs)
    print(f"\n{states.count('ran')} ran, {states.count('cached')} cached, {seconds:.0f} s of work")
