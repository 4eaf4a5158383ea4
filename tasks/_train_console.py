"""A training while it goes: its losses as small curves on a terminal, as lines in a log."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from models.training.run import Run

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48
LOG_EVERY_S = 5.0
FRESH_S = 0.25
"""Seconds between two looks at the terminal's table."""


class Series:
    """All values of one loss as at most `WIDTH` means: memory does not grow with the training."""

    def __init__(self) -> None:
        self.means: list[float] = []
        self.size, self._sum, self._count = 1, 0.0, 0

    def add(self, value: float) -> None:
        """Take in one more value."""
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count == self.size:
            self.means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self.means) >= WIDTH:
            self.means = [(a + b) / 2 for a, b in zip(*[iter(self.means)] * 2, strict=True)]
            self.size *= 2

    @property
    def bars(self) -> str:
        """The means as bars, the highest as high as one line allows."""
        low, high = min(self.means, default=0.0), max(self.means, default=0.0)
        span = (high - low) or 1.0
        return "".join(BARS[round((m - low) / span * (len(BARS) - 1))] for m in self.means)


class TrainConsole:
    """Watches a training for some minutes or images, shows it, and ends it well on Ctrl-C.

    Args:
        minutes: after which it is enough, counted from the first step; None: no bound.
        images: the same in images of this trial.
    """

    def __init__(self, minutes: float | None = None, images: int | None = None) -> None:
        self.minutes, self.images = minutes, images
        self.interrupted = False
        self.series: dict[str, Series] = {}
        self.began = self.shown = time.monotonic()
        self.first_images = self.seen = 0
        self._screen: Any = None

    # ---- what the loop calls ---------------------------------------------------------------

    @contextmanager
    def around(self, run: Run) -> Iterator[None]:
        """Show the training; the first Ctrl-C lets the step end, the second one does not."""
        self.began = self.shown = time.monotonic()
        self.first_images = run.images
        before = {n: signal.signal(n, self._stop) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            with _screen() as self._screen:
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def after_step(self, run: Run, _loss: float) -> None:
        """Note the losses of a step."""
        self.seen = run.images - self.first_images
        for name, value in run.latest.items():
            self.series.setdefault(name, Series()).add(value)
        pause = FRESH_S if self._screen else LOG_EVERY_S
        if time.monotonic() - self.shown >= pause:
            self.shown = time.monotonic()
            self._show(run)

    def should_stop(self, _run: Run) -> bool:
        """Whether the time or the images are used up, or somebody pressed Ctrl-C."""
        minutes = (time.monotonic() - self.began) / 60
        late = self.minutes is not None and minutes >= self.minutes
        return late or self.interrupted or (self.images is not None and self.seen >= self.images)

    # ---- what people see -------------------------------------------------------------------

    @property
    def images_s(self) -> float:
        """Images per second of this trial so far."""
        return self.seen / max(time.monotonic() - self.began, 1e-6)

    def left(self, run: Run) -> str:
        """What is left of the budget, in words."""
        rest = run.left
        if not rest:
            return "nothing is left of the budget"
        time_left = f", {_duration(rest / self.images_s)} at this speed" if self.seen else ""
        return f"{rest} images are left of the budget{time_left}"

    def headline(self, run: Run) -> str:
        """Where the training stands, in one line."""
        budget = run.images + run.left
        return f"{run.job.model}: {run.images}/{budget} images ({self.images_s:.1f}/s)"

    def _show(self, run: Run) -> None:
        if self._screen:
            self._screen.update(_table(self.headline(run), self.left(run), run, self.series))
            return
        ends = ("/loss", "validation/identity")
        totals = [f"{n} {v:.4f}" for n, v in run.latest.items() if n.endswith(ends)]
        print(f"{self.headline(run)} {' '.join(totals)}", file=sys.stderr, flush=True)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def _screen() -> Iterator[Any]:
    """Rich's live display where stderr is a terminal, else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        yield _Live(live)


class _Live:
    """Shows a table at once, so that no thread of its own takes time from the training."""

    def __init__(self, live: Any) -> None:
        self._live = live

    def update(self, table: object) -> None:
        """Show `table` in place of the one before."""
        self._live.update(table, refresh=True)


def _table(title: str, left: str, run: Run, series: dict[str, Series]) -> object:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    table.add_column("loss", no_wrap=True)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column("since this trial began", no_wrap=True)
    for name, values in series.items():
        table.add_row(name, f"{run.latest[name]:.4f}", values.bars)
    return Group(Text(title, style="bold"), table, Text(left, style="dim"))
