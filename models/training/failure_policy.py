"""What becomes of a group of workers of which one has failed; runs in Ray's controller."""

from __future__ import annotations

from pathlib import Path

from ray.train import UserCallback

from likeness.contracts.errors import LikenessError, ModelError
from models.training import checkpoint

DEATHS = 3
"""Failures of workers in a row, without a step kept between them, that a run survives."""
AGAIN = "run `dvc repro`: it continues from the last checkpoint"


def said(error: BaseException) -> str:
    """What an error says, on one line that is not too long."""
    return " ".join(f"{type(error).__name__}: {error}".split())[-300:]


class FailurePolicy(UserCallback):
    """Decides about failed workers: an error of the product ends the run, a death seldom.

    Ray's own count of failures knows nothing of progress; a long run on machines that come and go
    would use it up, and an error that every worker meets again would be met as often.

    Args:
        state: the job's folder, where the newest checkpoint shows the progress.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self._deaths = 0
        self._kept: str | None = None

    def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
        """Look at what workers have failed with.

        Raises:
            LikenessError: to end the run: the error of a worker, or that they keep dying.
        """
        told = [error for _, error in sorted(worker_exceptions.items())]
        for error in told:
            if isinstance(error, LikenessError):
                raise error
            if isinstance(error, OSError) and error.filename:
                step = f"free space or correct permissions, then {AGAIN}"
                raise ModelError(error.filename, error.strerror or said(error), step)
        found = checkpoint.folders(self.state)
        kept = found[-1].name if found else None
        self._deaths = self._deaths + 1 if kept == self._kept else 1
        self._kept = kept
        if self._deaths > DEATHS:
            raise ModelError("workers", f"failed {self._deaths} times ({said(told[0])})", AGAIN)
