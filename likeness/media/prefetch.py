"""Items made by a thread of their own before they are asked for: frames, while others work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The same items in lists of at most `size`; the next is made while the last is worked on.

    What `items` raises comes instead of the list that it was to be in.

    Args:
        items: used by one thread alone, which is not the caller's.
        size: of a list, at least 1: each costs a change of threads.
    """
    source = iter(items)

    def read() -> list[T]:
        return list(islice(source, size))

    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(read)
        while batch := waiting.result():
            waiting = reader.submit(read)
            yield batch
