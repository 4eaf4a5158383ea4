"""Who looks at a training from outside; what a callback does changes no number of the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from likeness.contracts.progress import Advance, progress
from models.training.run import Run


class TrainingCallback(Protocol):
    """Shows how a training goes, and says when to stop before its budget is used up."""

    def around(self, run: Run) -> AbstractContextManager[None]:
        """Around the steps of the training."""

    def after_step(self, run: Run, loss: float) -> None:
        """After each step, with the sum of its losses."""

    def should_stop(self, run: Run) -> bool:
        """Asked before each step."""


class ProgressBar:
    """A bar on a terminal, lines in a log; trains to the end of the budget."""

    def __init__(self) -> None:
        self._advance: Advance | None = None

    @contextmanager
    def around(self, run: Run) -> Iterator[None]:
        """Show how much of what is left has been done."""
        with progress(f"{run.job.model} images", run.left) as self._advance:
            yield

    def after_step(self, run: Run, loss: float) -> None:
        """Go on by one step."""
        if self._advance:
            self._advance(run.job.plan.step_images, f"loss {loss:.4f}")

    def should_stop(self, run: Run) -> bool:
        """Never."""
        return False


class SilentCallback:
    """Silence of a worker beside the first one, which speaks for all."""

    def around(self, run: Run) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def after_step(self, run: Run, loss: float) -> None:
        """Nothing."""

    def should_stop(self, run: Run) -> bool:
        """Never: all workers train to the end."""
        return False
