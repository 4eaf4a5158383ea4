"""One run of the flow `rebuild` in this process, and the table of it, whatever its server does."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from flows.board import Board
from flows.commands.judge import report_after_run
from flows.rebuild import LAST, conclusion
from flows.rebuild import rebuild as flow
from flows.remarks import say_remarks
from flows.report import show_run
from flows.run import StageRun
from likeness.contracts.errors import GraphError

DRAIN_S = 8.0
"""Seconds in which the server is told what it has not yet heard."""


def run_flow(name: str, root: Path) -> None:
    """Rebuild everything, or the swap `name`, and show what ran.

    Raises:
        GraphError: a stage failed, or there was no server to begin with.
    """
    try:
        state: Any = flow(swap=name or None, return_state=True)
    except (httpx.HTTPError, RuntimeError) as error:
        if not LAST:
            step = "try again, or run `likeness swap`"
            raise GraphError("rebuild", f"the Prefect server fails ({error})", step) from None
        print(f"warning: the Prefect server is gone ({error}); the work went on", file=sys.stderr)
        state = conclusion(LAST[-1])
    finally:
        drain()
    if not LAST:
        raise GraphError("rebuild", str(state.message or state.name), "see the log above")
    show(LAST[-1], root)
    if not state.is_completed():
        raise GraphError("rebuild", str(state.message), "see the log above, then run it again")


def show(board: Board, root: Path) -> None:
    """The table of what ran, and where the results are."""
    runs = [StageRun(o.address, o.state, o.seconds) for o in board.outcomes.values()]
    show_run(board.graph, runs, board.graph.swaps(), root)
    say_remarks(root)
    report_after_run(board.graph.swaps())


def drain() -> None:
    """Send states and log lines that wait, for a few seconds: a server that has gone takes none."""
    with_threads = ThreadPoolExecutor(2)
    sent = [with_threads.submit(w.drain_all, DRAIN_S) for w in (EventsWorker, APILogWorker)]
    wait(sent, timeout=DRAIN_S)
    with_threads.shutdown(wait=False)
