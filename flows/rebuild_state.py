"""The state of a rebuild while it runs: what is stale, which slots are free, what became of each.

Knows nothing of Prefect; `flows.rebuild` hands it one stage at a time, upstream first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from flows.graph import Graph, StageNode
from flows.outcomes import Outcome, inner_reads, locked_hashes, md5_of, noted_hashes
from flows.process import end_all
from flows.run import LockedError, State, repro_once, require_success
from flows.status import brief
from likeness.contracts import dvclock
from likeness.contracts.errors import GraphError
from likeness.contracts.listed_code import FOLDER
from likeness.contracts.rwlock import overlap

SLOTS = {"compute": 1, "io": 2, "network": 1, "data": 2}
"""Stages of each `meta.resource` that run at once: a compute stage uses every core by itself."""


def slots_from_environment() -> dict[str, int]:
    """SLOTS, with changes from LIKENESS_SLOTS ("compute=2,io=4").

    Raises:
        GraphError: the variable is not of that form.
    """
    chosen = dict(SLOTS)
    for part in filter(None, os.environ.get("LIKENESS_SLOTS", "").split(",")):
        name, _, count = part.strip().partition("=")
        if name not in SLOTS or not count.isdigit() or int(count) < 1:
            known = ", ".join(SLOTS)
            raise GraphError(f"LIKENESS_SLOTS={part}", "is no `resource=count`", f"known: {known}")
        chosen[name] = int(count)
    return chosen


class CancelledError(GraphError):
    """The rebuild was cancelled before the stage was done."""


@dataclass
class RebuildState:
    """Shared state of one rebuild.

    Attributes:
        graph: the stages to rebuild, and their edges.
        stale: address -> reasons, from one status call before the start.
        root: folder of the repository.
        slots: `meta.resource` -> stages at once.
        outcomes: address -> result, filled while running.
    """

    graph: Graph
    stale: dict[str, tuple[str, ...]]
    root: Path
    slots: dict[str, int] = field(default_factory=slots_from_environment)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._inner = {a: inner_reads(self.graph, a) for a in self.graph.nodes}
        self._slots = {name: threading.Semaphore(count) for name, count in self.slots.items()}
        self._taken: dict[str, threading.Semaphore] = {}
        self._said: dict[str, str] = {}
        self._cancelled = threading.Event()

    def take_slot(self, address: str) -> bool:
        """Take a slot of the stage's resource; True if it has one, or needs none: it is cached."""
        if address in self._taken or not self._needs_run(address):
            return True
        slot = self._slots.get(self.graph.nodes[address].resource, self._slots["compute"])
        if slot.acquire(blocking=False):
            self._taken[address] = slot
            return True
        return False

    def free_slot(self, address: str) -> None:
        """Give back what `take_slot` took."""
        if slot := self._taken.pop(address, None):
            slot.release()

    def _needs_run(self, address: str) -> bool:
        above = self.graph.upstream[address]
        failed = any(self.state_of(u) in {"failed", "not run"} for u in above)
        return bool(self.why(address)) and not failed

    def summary(self) -> tuple[str, str]:
        """Name of the whole run's state (Ran, Cached, Failed), and how many stages did what.

        Stages that always run and found nothing new do not make it "Ran".
        """
        states = [self.state_of(node.address) for node in self.graph.stages]
        counts = {name: states.count(name) for name in ("ran", "cached", "failed", "not run")}
        message = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        if counts["failed"] or counts["not run"]:
            return "Failed", message
        return "Ran" if self._made_anything() else "Cached", message

    def _made_anything(self) -> bool:
        return any(
            outcome.state == "ran"
            and (outcome.changed or not self.graph.nodes[address].always_changed)
            for address, outcome in self.outcomes.items()
        )

    def why(self, address: str) -> str:
        """Why DVC must look at this stage now; "" if it cannot have changed.

        A stage that was up to date before needs a look only if something upstream now differs.
        """
        changed = [
            self.graph.nodes[above].label
            for above in self.graph.upstream[address]
            if above in self.outcomes and self._differs(address, above)
        ]
        if changed:
            return f"changed upstream: {', '.join(changed)}"
        return brief(self.stale.get(address, ()))

    def _differs(self, address: str, above: str) -> bool:
        """Whether anything that a stage reads of one above it is not what it was before."""
        done, outputs = self.outcomes[above], self.graph.nodes[above].outputs
        read = self.graph.nodes[address].dependencies
        single = [path for path in self._inner[above] if path in read]
        whole = [
            out for out in outputs if any(overlap(out, path) for path in read if path not in single)
        ]
        return any(p in done.differing or (done.changed and p not in done.hashes)
                   for p in (*single, *whole))  # fmt: skip

    def _hashes(self, node: StageNode, outputs: dict[str, str]) -> dict[str, str]:
        """Hashes of a stage's outputs, and those of the files below that others read."""
        inner = {path: md5_of(self.root / path) for path in self._inner[node.address]}
        return {**outputs, **inner}

    def run(self, address: str, say: Callable[[str], object]) -> Outcome:
        """Bring one stage up to date; everything upstream must be done.

        Raises:
            LockedError: another run holds a path, or a slot is not free; try again.
            ReproError: the stage failed (noted among the outcomes).
            CancelledError: the rebuild was cancelled.
        """
        node = self.graph.nodes[address]
        before = self._hashes(node, locked_hashes(node, self.root))
        reason = self.why(address)
        if not reason:
            return self._note(Outcome(address, "cached", 0.0, before))
        if pid := self._in_the_way(node):
            words = dvclock.beside(self.root) if FOLDER.as_posix() in node.outputs else ""
            self._wait(address, f"waiting for another run (process {pid}){words}", say)
        if not self.take_slot(address):
            self._wait(address, "waiting for a slot", say)
        try:
            self._require_going(address)
            say(reason)
            done = repro_once([address], single=True, on_line=say, root=self.root)
            self._require_going(address)
        finally:
            self.free_slot(address)
        found = done.runs.get(address)
        seconds = found.seconds if found else 0.0
        if done.code and not done.busy:
            self._note(Outcome(address, "failed", seconds, before))
        require_success(done, address)
        after = self._hashes(node, noted_hashes(node, self.root))
        # A restored output (`cached` by DVC's run cache) may differ from what lay there before.
        state: State = found.state if found else ("ran" if node.footage else "cached")
        paths = {*before, *after}
        differing = frozenset(path for path in paths if before.get(path) != after.get(path))
        return self._note(Outcome(address, state, seconds, after, differing))

    def _in_the_way(self, node: StageNode) -> int:
        """Process of another run that writes what the stage needs, or reads what it makes."""
        here = str(self.root.resolve())
        made = [f"{here}/{path}" for path in node.outputs]
        read = [f"{here}/{path}" for path in node.dependencies]
        for entry in dvclock.entries(self.root):
            mine = [*made, *read] if entry.writes else made
            if any(overlap(entry.path, path) for path in mine):
                return entry.pid
        return 0

    def _wait(self, address: str, why: str, say: Callable[[str], object]) -> NoReturn:
        """Say once why a stage waits, and have it tried again."""
        if self._said.get(address) != why:
            say(why)
        self._said[address] = why
        raise LockedError(address, why, "it goes on by itself")

    def _require_going(self, address: str) -> None:
        if self._cancelled.is_set():
            raise CancelledError(address, "cancelled", "start the rebuild again to go on")

    def _note(self, outcome: Outcome) -> Outcome:
        self.outcomes[outcome.address] = outcome
        return outcome

    def cancel(self) -> None:
        """Start nothing more and end what runs, with all its descendants."""
        self._cancelled.set()
        end_all()

    def state_of(self, address: str) -> str:
        """State for people: ran, cached, failed, tracked (untouched footage) or not run."""
        if address in self.outcomes:
            return self.outcomes[address].state
        return "tracked" if self.graph.nodes[address].footage else "not run"
