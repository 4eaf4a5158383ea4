"""Processes that hold one side of a comparison each, so that neither disturbs the other.

A training and a conversion have their own ways with memory (likeness/contracts/memory.py), which
would serve the baseline too if both lived in one process.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.harness import seconds

Work = Callable[[int], Any]
Make = Callable[[], Work]


def _serve(pipe: Connection, make: Make) -> None:
    """Child: what `make` gave is called for each number that comes in, until None does.

    Out go the seconds of the call and what it returned.
    """
    work = make()
    pipe.send(None)
    while (turn := pipe.recv()) is not None:
        pipe.send(seconds(partial(work, turn)))


class Side:
    """One side in a process of its own.

    Args:
        make: builds the work in there; must be found by its name, as `spawn` wants.
    """

    def __init__(self, make: Make) -> None:
        spawning = multiprocessing.get_context("spawn")
        self.pipe, there = spawning.Pipe()
        self.process = spawning.Process(target=_serve, args=(there, make), daemon=True)
        self.process.start()
        there.close()
        self.pipe.recv()

    def call(self, turn: int) -> tuple[float, Any]:
        """Seconds of one call, and what it gave."""
        self.pipe.send(turn)
        found: tuple[float, Any] = self.pipe.recv()
        return found

    def end(self) -> None:
        """Let the process go."""
        self.pipe.send(None)
        self.process.join()


def _best(calls: list[tuple[float, Any]]) -> tuple[float, Any]:
    return min(seconds for seconds, _ in calls[1:]), calls[-1][1]


def one_after_the_other(first: Make, second: Make, turns: int, enough_s: float) -> tuple[Any, Any]:
    """As `alternate`, for sides whose memory does not fit beside each other."""
    found = []
    for make in (first, second):
        side, calls = Side(make), list[tuple[float, Any]]()
        began = time.monotonic()
        for turn in range(1 + turns):
            if turn > 1 and time.monotonic() - began > enough_s:
                break
            calls.append(side.call(turn))
        side.end()
        found.append(_best(calls))
    return found[0], found[1]


def alternate(first: Make, second: Make, turns: int, enough_s: float) -> tuple[Any, Any]:
    """Both sides in turns: of each the shortest seconds, and what its last call gave.

    Args:
        first: one side.
        second: the other.
        turns: calls of each that count, at most; one goes before that does not.
        enough_s: no further turn begins after so many seconds.
    """
    sides = (Side(first), Side(second))
    found: tuple[list[tuple[float, Any]], ...] = ([], [])
    began = time.monotonic()
    for turn in range(1 + turns):
        if turn > 1 and time.monotonic() - began > enough_s:
            break
        for side, calls in zip(sides, found, strict=True):
            calls.append(side.call(turn))
    for side in sides:
        side.end()
    return _best(found[0]), _best(found[1])
