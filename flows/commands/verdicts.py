"""`likeness gate | benchmark-ff`: commands that judge."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows.commands.common import ROOT, Json, complete_swap, print_json
from flows.report import show_table
from flows.verdicts import Verdict, known_swaps, verdicts_of
from likeness.contracts.errors import LikenessError

FAILED = 1
"""Exit code where a gate does not hold; 2 is for what keeps it from being judged."""


def gate(
    swaps: Annotated[
        list[str] | None,
        typer.Argument(help="Swaps to judge; else all.", autocompletion=complete_swap),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say whether the bounds of params.yaml hold; for CI.

    Reads the verdicts that `evaluate` wrote and measures nothing. Exit code 0: all hold. 1: at
    least one does not. 2: a swap with gates was not evaluated yet, or for other bounds.

    [bold]Examples[/bold]

    likeness gate

    likeness gate woman-on-man-mesh --json
    """
    found: dict[str, list[Verdict]] = {}
    faults: dict[str, LikenessError] = {}
    for name in known_swaps(ROOT, swaps or []):
        try:
            found[name] = verdicts_of(ROOT, name)
        except LikenessError as error:  # one swap without a report hides no other's verdict
            faults[name] = error
    failed = [v for listed in found.values() for v in listed if not v.passed]
    if as_json:
        _print(found, faults, failed)
    else:
        _show(found, failed, complete=not faults)
    for fault in faults.values():
        raise fault
    if failed:
        raise typer.Exit(code=FAILED)


def _print(
    found: dict[str, list[Verdict]], faults: dict[str, LikenessError], failed: list[Verdict]
) -> None:
    content = {
        "passed": not failed and not faults,
        "failed": len(failed),
        "not_judged": {name: str(fault) for name, fault in faults.items()},
        "swaps": {name: [v.as_dict() for v in listed] for name, listed in found.items()},
    }
    print_json(content)


def _show(found: dict[str, list[Verdict]], failed: list[Verdict], *, complete: bool) -> None:
    """The table, then the failed lines once more, where a log ends."""
    verdicts = [verdict for listed in found.values() for verdict in listed]
    if verdicts:
        cells = [
            (v.swap, v.metric, v.bound, _measured(v), "holds" if v.passed else "failed")
            for v in verdicts
        ]
        show_table("Gates", ("swap", "metric", "bound", "value", "verdict"), cells, state_column=4)
    for name, listed in found.items():
        if not listed:
            print(f"{name}: no gates; state some under evaluate.gates in params.yaml")
    for v in failed:
        print(f"failed: {v.swap}: {v.metric} is {_measured(v)}, not {v.bound}", file=sys.stderr)
    if verdicts and complete and not failed:
        print("every gate holds" if len(verdicts) > 1 else "the gate holds")


def _measured(verdict: Verdict) -> str:
    return "not measured" if verdict.value is None else f"{verdict.value:g}"
