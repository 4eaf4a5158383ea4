"""Which processes took the steps of a training: small records in its state folder."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from likeness.contracts.atomic import PREFIX, write_text

FOLDER = "processes"


@dataclass
class ProcessRecord:
    """A process that took steps, as it says itself.

    Attributes:
        host: name of its machine.
        pid: number of its process there.
        rank: its number among the workers; 0 in a training without workers.
        workers: how many there are; 1 in a training without workers.
        first_step: steps that others had done before it began.
        last_step: steps that were done when this was written.
    """

    host: str
    pid: int
    rank: int
    workers: int
    first_step: int
    last_step: int

    def write(self, state: Path, step: int) -> None:
        """Note how far it has come."""
        self.last_step = step
        name = f"{self.host}-{self.pid}-{self.first_step:09d}.json"
        (state / FOLDER).mkdir(parents=True, exist_ok=True)
        write_text(state / FOLDER / name, json.dumps(asdict(self)))


def this_process(rank: int, workers: int, step: int) -> ProcessRecord:
    """The record of this process before its first step."""
    return ProcessRecord(socket.gethostname(), os.getpid(), rank, workers, step, step)


def process_records(state: Path) -> list[ProcessRecord]:
    """Everybody who took steps of the training with this state folder, in their order."""
    # A process that is killed while it writes leaves its temporary file behind.
    files = [p for p in (state / FOLDER).glob("*.json") if not p.name.startswith(PREFIX)]
    found = [ProcessRecord(**json.loads(path.read_text())) for path in files]
    return sorted(found, key=lambda record: (record.first_step, record.last_step, record.rank))
