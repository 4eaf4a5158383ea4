"""Workers whose results are taken in the order in which the work was given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from likeness.contracts import environment

WAITING_PER_THREAD = 2
"""Pieces of work that may wait for a worker: each holds the frames that it is about."""


class InOrder:
    """One thread for each worker; what comes out does not hang on their number.

    Args:
        take: called with each result, in order, by the thread that gives the work.
    """

    def __init__(self, take: Callable[[Any], None]) -> None:
        self._take = take
        self._workers = ThreadPoolExecutor(environment.threads())
        self._begun: deque[Future[Any]] = deque()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Begin work; once enough waits, take what has been done. Raises what it raised."""
        future = self._workers.submit(work, *arguments)
        self._begun.append(future)
        while len(self._begun) > WAITING_PER_THREAD * environment.threads():
            self._take(self._begun.popleft().result())
        return future

    def finish(self) -> None:
        """Take what is left, and let the threads go."""
        while self._begun:
            self._take(self._begun.popleft().result())
        self._workers.shutdown()
