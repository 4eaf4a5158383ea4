"""Items made by a thread of their own before they are asked for: frames, while others work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], most: int) -> Iterator[T]:
    """The same items in the same order, each begun up to `most` items before its turn.

    What `items` raises comes where its item would have come. Whoever stops early waits for the
    items that have been begun, at most `most`.

    Args:
        items: used by one thread alone, which is not the caller's.
        most: items that may lie ready, at least 1; what bounds memory.
    """
    source, end = iter(items), object()

    def begin() -> Future[T | object]:
        return worker.submit(next, source, end)  # type: ignore[arg-type]  # next with a default

    with ThreadPoolExecutor(1) as worker:
        ready = deque(begin() for _ in range(most))
        while (item := ready.popleft().result()) is not end:
            ready.append(begin())
            yield item  # type: ignore[misc]  # it is not `end`
