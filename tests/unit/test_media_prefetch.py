"""Reading ahead: the same items, from one other thread, and errors in their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from likeness.media.prefetch import prefetch


def test_the_same_items_in_lists_from_one_other_thread() -> None:
    threads = set()

    def numbers() -> Iterator[int]:
        for number in range(7):
            threads.add(threading.get_ident())
            yield number

    assert list(prefetch(numbers(), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert list(prefetch([], 3)) == []


def test_no_more_than_one_list_is_made_ahead() -> None:
    made: list[int] = []
    lists = prefetch((made.append(n) or n for n in range(100)), 4)  # type: ignore[func-returns-value]
    next(lists)
    lists.close()  # type: ignore[attr-defined]  # it is a generator
    assert made == list(range(8))


def test_an_error_comes_behind_the_lists_before_it() -> None:
    def broken() -> Iterator[int]:
        yield from range(4)
        raise OSError("gone")

    lists = prefetch(broken(), 2)
    assert [next(lists), next(lists)] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="gone"):
        next(lists)
