"""One place between two threads: for the newest thing only, or for one that waits its turn."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds one thing at most.

    Args:
        newest: a new thing replaces the one that waits; else the giver waits.
    """

    def __init__(self, *, newest: bool = False) -> None:
        self._newest = newest
        self._change = threading.Condition()
        self._held: list[T] = []
        self._closed = False

    def put(self, thing: T) -> int:
        """Give a thing; returns how many (0 or 1) were lost: replaced, or given too late."""
        with self._change:
            while self._held and not self._newest and not self._closed:
                self._change.wait()
            if self._closed:
                return 1
            lost = len(self._held)
            self._held[:] = [thing]
            self._change.notify_all()
            return lost

    def take(self, timeout_s: float | None = None) -> T | None:
        """The thing, when there is one; None once closed and empty, or after the timeout."""
        with self._change:
            self._change.wait_for(lambda: self._held or self._closed, timeout_s)
            if not self._held:
                return None
            thing = self._held.pop()
            self._change.notify_all()
            return thing

    def wait_empty(self) -> None:
        """Wait until nothing waits here, or nothing more will be taken in."""
        with self._change:
            self._change.wait_for(lambda: not self._held or self._closed)

    def close(self) -> None:
        """No more will be given; what waits may still be taken."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    @property
    def over(self) -> bool:
        """True when nothing waits and nothing will come."""
        with self._change:
            return self._closed and not self._held
