"""Who looks at a training from outside; what a watcher does changes no number of the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from likeness.contracts.progress import Advance, progress
from models.training.run import Run


class Watcher(Protocol):
    """Shows how a training goes, and says when to stop before its budget is used up."""

    def watching(self, run: Run) -> AbstractContextManager[None]:
        """Around the steps of the training."""

    def saw(self, run: Run, loss: float) -> None:
        """After each step, with the sum of its losses."""

    def enough(self, run: Run) -> bool:
        """Asked before each step."""


class Bar:
    """A bar on a terminal, lines in a log; trains to the end of the budget."""

    def __init__(self) -> None:
        self._advance: Advance | None = None

    @contextmanager
    def watching(self, run: Run) -> Iterator[None]:
        """Show how much of what is left has been done."""
        with progress(f"{run.job.model} images", run.left) as self._advance:
            yield

    def saw(self, run: Run, loss: float) -> None:
        """Go on by one step."""
        if self._advance:
            self._advance(run.job.plan.step_images, f"loss {loss:.4f}")

    def enough(self, run: Run) -> bool:
        """Never."""
        return False


class Nobody:
    """Silence of a worker beside the first one, which speaks for all."""

    def watching(self, run: Run) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def saw(self, run: Run, loss: float) -> None:
        """Nothing."""

    def enough(self, run: Run) -> bool:
        """Never: all workers train to the end."""
        return False
