"""When a training saves: by the clock, never for more than a part of the time, and when warned."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from likeness.contracts import environment
from models.training import checkpoint
from models.training.process_group import ProcessGroup
from models.training.processes import ProcessRecord, this_process
from models.training.run import Run

SHARE = 10
"""Saving takes at most about one part in this many of the time."""


@dataclass
class Saving:
    """Checkpoints of one process; of several workers only the first one writes any.

    Attributes:
        group: the group of workers.
        record: the record of this process.
        every_s: seconds between two checkpoints, as the environment asks; 0 saves every step.
    """

    group: ProcessGroup
    record: ProcessRecord
    every_s: float
    _saved: float = field(default_factory=time.monotonic)
    _cost_s: float = 0.0
    _leaving: bool = False

    def after_step(self, run: Run) -> None:
        """Save if it is time."""
        began, pause_s = time.monotonic(), self.pause_s(leaving=self.group.leaving())
        if self.group.rank == 0 and began - self._saved >= pause_s:
            run.save()
            rule = run.job.plan.backups
            checkpoint.back_up(run.job.state, rule.every_hours, rule.latest)
            self.record.write(run.job.state, run.progress.step)
            self._saved = time.monotonic()
            self._cost_s = self._saved - began

    def pause_s(self, *, leaving: bool) -> float:
        """Seconds from the last save to the next one.

        At the news that a machine is about to go there is none; from then on saves follow each
        other as closely as their cost allows.
        """
        news, self._leaving = leaving and not self._leaving, leaving
        if news or not self.every_s:
            return 0.0
        least = SHARE * self._cost_s
        return least if leaving else max(self.every_s, least)

    def end(self, run: Run) -> None:
        """Note how far this process has come."""
        if run.progress.step > self.record.first_step:
            self.record.write(run.job.state, run.progress.step)


def begin(run: Run, group: ProcessGroup) -> Saving:
    """The savings of a training that is about to take its first step here."""
    record = this_process(group.rank, group.size, run.progress.step)
    return Saving(group, record, environment.checkpoint_s())
