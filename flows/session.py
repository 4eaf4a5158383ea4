"""One run of the flow `rebuild` in this process, and the table of it, whatever its server does."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NoReturn

import httpx
from prefect._internal.concurrency import logger as prefect_internals
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from flows import server
from flows.commands.judge import report_after_run
from flows.rebuild import FOLLOWERS, conclusion
from flows.rebuild import rebuild as flow
from flows.rebuild_state import RebuildState
from flows.remarks import say_remarks
from flows.report import show_run
from flows.run import StageRun
from likeness.contracts.errors import GraphError, LikenessError

DRAIN_S = 8.0
"""Seconds in which the server is told what it has not yet heard."""


POLL_S = 1.0

GONE = "warning: the Prefect server has gone; the work goes on, and its pages will not show it"


class Follower:
    """Keeps the state of the one rebuild that it follows.

    Args:
        root: folder of the repository.
        gone: set when the server has gone.
        interrupted: called once the run is cancelled.
    """

    def __init__(
        self, root: Path, gone: threading.Event, interrupted: Callable[[], object]
    ) -> None:
        self.rebuild_state: RebuildState | None = None
        self._root, self._gone, self._interrupted = root, gone, interrupted

    def begun(self, rebuild_state: RebuildState) -> None:
        """See `flows.rebuild.Follower`."""
        self.rebuild_state = rebuild_state

    def cancelled(self) -> None:
        """See `flows.rebuild.Follower`."""
        self._interrupted()

    def ended(self, rebuild_state: RebuildState) -> None:
        """Where the server has gone, show what ran and end at once."""
        if self._gone.is_set():
            leave(rebuild_state, self._root)


def run_flow(name: str, root: Path, interrupted: Callable[[], object]) -> None:
    """Rebuild everything, or the swap `name`, and show what ran.

    Args:
        interrupted: called once the run is cancelled.

    Raises:
        GraphError: a stage failed, or there was no server to begin with.
    """
    follower = Follower(root, watch(os.environ["PREFECT_API_URL"]), interrupted)
    FOLLOWERS.append(follower)
    try:
        state: Any = flow(swap=name or None, return_state=True)
    except (httpx.HTTPError, RuntimeError) as error:
        if follower.rebuild_state is None:
            step = "try again, or run `likeness swap`"
            raise GraphError("rebuild", f"the Prefect server fails ({error})", step) from None
        print(f"{GONE} ({error})", file=sys.stderr)
        state = conclusion(follower.rebuild_state)
    finally:
        FOLLOWERS.remove(follower)
        drain()
    if follower.rebuild_state is None:
        raise GraphError("rebuild", str(state.message or state.name), "see the log above")
    show(follower.rebuild_state, root)
    if not state.is_completed():
        raise GraphError("rebuild", str(state.message), "see the log above, then run it again")


def show(rebuild_state: RebuildState, root: Path) -> None:
    """The table of what ran, and where the results are."""
    runs = [StageRun(o.address, o.state, o.seconds) for o in rebuild_state.outcomes.values()]
    show_run(rebuild_state.graph, runs, rebuild_state.graph.swaps(), root)
    say_remarks(root)
    report_after_run(rebuild_state.graph.swaps())


def drain() -> None:
    """Send states and log lines that wait, for a few seconds: a server that has gone takes none."""
    with_threads = ThreadPoolExecutor(2)
    sent = [with_threads.submit(w.drain_all, DRAIN_S) for w in (EventsWorker, APILogWorker)]
    wait(sent, timeout=DRAIN_S)
    with_threads.shutdown(wait=False)


def watch(url: str) -> threading.Event:
    """An event that is set when nothing listens any more at `url`, which is said once.

    Prefect's own clients would say so at every state of every task, and try again for a minute.
    """
    gone = threading.Event()

    def look() -> None:
        refused = 0
        while refused < 2:
            refused = refused + 1 if server.refuses(url) else 0
            gone.wait(POLL_S)
        print(GONE, file=sys.stderr, flush=True)
        for logger in (logging.getLogger("prefect.events.clients"), prefect_internals):
            logger.disabled = True
        gone.set()

    threading.Thread(target=look, daemon=True, name="watch the server").start()
    return gone


def leave(rebuild_state: RebuildState, root: Path) -> NoReturn:
    """Show what ran and end at once: Prefect would ask the server that has gone for a minute."""
    name, message = rebuild_state.summary()
    code = 0
    try:
        show(rebuild_state, root)
        if name == "Failed":
            raise GraphError("rebuild", message, "see the log above, then run it again")
    except LikenessError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
