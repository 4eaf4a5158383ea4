"""Progress on long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

LOG_EVERY_S = 5.0


class Advance(Protocol):
    """Say that more is done."""

    def __call__(self, count: int, note: str = "") -> None:
        """Add `count`; `note` (a loss, a file) is shown beside it until the next one."""


def _plain(label: str, total: int | None) -> Iterator[Advance]:
    done, began, last, shown = 0, time.monotonic(), time.monotonic(), ""

    def advance(count: int, note: str = "") -> None:
        nonlocal done, last, shown
        done, shown = done + count, note or shown
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            of = f"/{total}" if total else ""
            line = f"{label}: {done}{of} ({done / (last - began):.1f}/s) {shown}".rstrip()
            print(line, file=sys.stderr, flush=True)

    yield advance
    seconds = time.monotonic() - began
    print(f"{label}: {done} in {seconds:.1f} s", file=sys.stderr, flush=True)


def _bar(label: str, total: int | None) -> Iterator[Advance]:
    # rich costs 0.1 s to import; a log does not need it.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)

        def advance(count: int, note: str = "") -> None:
            bar.advance(task, count)
            if note:
                bar.update(task, description=f"{label} {note}")

        yield advance


@contextlib.contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Advance]:
    """Yield `advance(count)`; shows a bar if stderr is a terminal, else a line every 5 s."""
    shown = _bar(label, total) if sys.stderr.isatty() else _plain(label, total)
    yield from shown
