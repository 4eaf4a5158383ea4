"""Work side by side, each piece on one thread: the same numbers for any number of threads.

Shared among the threads of one operation, a sum is split by their number, and so is what it rounds
to; and every operation waits for the slowest of them, hundreds of times a step, which beside other
work costs most of the speed (docs/benchmarks.md, `beside`). In training, each part of a batch
(`micro_batches`) is computed from its crops to its gradients by one thread; what the parts give is
added in their order, and they wait for each other once a step. In `convert` each thread takes a
batch. The number of threads is then a matter of speed alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import torch

import models

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def single_threaded() -> Iterator[None]:
    """While it lasts, operations of torch on this thread are not split among threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def take_threads(count: int) -> None:
    """Split torch's operations among so many threads of this process from now on.

    One is used, and it is said, where torch was loaded before `models` could keep them from
    spinning: beside other work that would cost nine tenths of the speed.
    """
    if count > 1 and models.LATE:
        problem = "was imported before `models`, so that its threads would spin while they wait"
        step = "import models first, or set GOMP_SPINCOUNT=1000"
        print(f"torch: {problem}; it gets one: {step}", file=sys.stderr, flush=True)
        count = 1
    torch.set_num_threads(max(1, count))


class Crew:
    """Threads that each compute alone.

    Args:
        size: how many work at a time; by default one, the caller.
        idle: further threads that find no work.
    """

    def __init__(self, size: int = 1, idle: int = 0) -> None:
        self.size, self.idle = max(1, size), idle
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """What `work` makes of each item, in their order; one more than the threads waits.

        An error of `work` is raised where its item's turn comes.
        """
        if self.size == 1:
            yield from map(work, items)
            return
        if self._pool is None:
            # torch's number of threads belongs to each thread of the process.
            self._pool = ThreadPoolExecutor(
                self.size, initializer=torch.set_num_threads, initargs=(1,)
            )
        waiting = iter(items)
        begun: list[Future[R]] = [
            self._pool.submit(work, item) for item in islice(waiting, self.size + 1)
        ]
        while begun:
            found = begun.pop(0).result()
            begun += [self._pool.submit(work, item) for item in islice(waiting, 1)]
            yield found


@contextmanager
def crew_for(
    device: torch.device, threads: int, most: int | None = None, *, split: bool = False
) -> Iterator[Crew]:
    """Those who compute what is independent of each other; what they write does not show them.

    Args:
        device: a CPU has as many at work as there are threads; a GPU takes one after the other.
        threads: how many there are.
        most: how many find work; None: all.
        split: one works, and splits its operations among the threads, by which they round.
    """
    if device.type == "cpu" and not split:
        size = min(threads, most or threads)
        with single_threaded(), Crew(size, threads - size) as crew:
            yield crew
        return
    before = torch.get_num_threads()
    take_threads(threads)
    try:
        yield Crew()
    finally:
        torch.set_num_threads(before)
