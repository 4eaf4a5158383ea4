"""`dvc repro` as a child process: what ran, what was cached, how long; waits for other runs."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flows.process import stream
from likeness.contracts.dvclock import heal, is_refusal, patiently
from likeness.contracts.errors import GraphError

State = Literal["ran", "cached", "failed"]

_RUNNING = re.compile(r"^Running stage '(.+)':$")
_RESTORED = re.compile(r"^Stage '(.+)' is cached - skipping run")
_UNCHANGED = re.compile(r"^(?:Stage )?'(.+)' didn't change, skipping$")
_UNKEPT = re.compile(r"^ERROR: failed to transfer '.+?' - (?:\[Errno \d+\] )?(.+?)(?:: '.*)?$")
_FAILED = re.compile(r"failed to reproduce(?: stages:)? '(.+?)'")


@dataclass(frozen=True)
class StageRun:
    """What became of one stage: its address, state and seconds."""

    address: str
    state: State
    seconds: float


class ReproError(GraphError):
    """A run of `dvc repro` failed; `runs` tells what had been done until then."""

    runs: tuple[StageRun, ...] = ()


class LockedError(ReproError):
    """Another `dvc` process holds a path or the repository."""


@dataclass
class Transcript:
    """Reads DVC's own lines as they come and keeps what each stage did.

    Attributes:
        runs: address -> result, in the order of DVC's announcements.
        refusal: DVC's words where a lock held by another process was met; "" if none was.
        error: the stage's own `error:` line, else DVC's.
        unkept: why DVC's cache did not take an output; "" if it took all. DVC itself goes on then
            and exits with 0, though nothing could bring that output back.
        code: exit code of the process; negative: the signal that ended it.
    """

    clock: Callable[[], float] = time.monotonic
    runs: dict[str, StageRun] = field(default_factory=dict)
    refusal: str = ""
    error: str = ""
    unkept: str = ""
    code: int = 0
    _address: str = ""
    _began: float = 0.0

    def line(self, text: str) -> None:
        """Take one plain line of output."""
        if found := _RUNNING.match(text):
            self._finish()
            self._address, self._began = found[1], self.clock()
        elif found := _RESTORED.match(text) or _UNCHANGED.match(text):
            self._finish()
            self._put(found[1], "cached", 0.0)
        elif is_refusal(text):
            self.refusal = text
        self._note_error(text)

    @property
    def busy(self) -> bool:
        """A lock held by another process was met; what DVC says after it is of no use."""
        return bool(self.refusal)

    def end(self, code: int) -> None:
        """The process has ended; a stage still running then has failed unless `code` is 0."""
        self.code = code
        self._finish("ran" if code == 0 else "failed")

    def _note_error(self, text: str) -> None:
        if found := _UNKEPT.match(text):
            self.unkept = found[1]
            self._finish("failed")
        elif text.startswith("error: "):
            self.error = text.removeprefix("error: ")
        elif text.startswith("ERROR: "):
            if found := _FAILED.search(text):
                self._finish("failed")
                self._put(found[1], "failed", self._seconds(found[1]))
            self.error = self.error or text.removeprefix("ERROR: ")

    def _seconds(self, address: str) -> float:
        return self.runs[address].seconds if address in self.runs else 0.0

    def _finish(self, state: State = "ran") -> None:
        if self._address:
            self._put(self._address, state, self.clock() - self._began)
        self._address = ""

    def _put(self, address: str, state: State, seconds: float) -> None:
        if not address.endswith(".dvc"):
            self.runs[address] = StageRun(address, state, round(seconds, 1))


_CHATTER = (
    "To track the changes with git",
    "git add ",
    "To enable auto staging",
    "dvc config core.",
    "Use `dvc push`",
)


def is_chatter(text: str) -> bool:
    """Whether a line of DVC's is empty or general advice, of no use in a log."""
    return not text.strip() or text.strip().startswith(_CHATTER)


def dvc_command(*arguments: str) -> list[str]:
    """Command line for DVC in this very environment."""
    return [sys.executable, "-m", "dvc", *arguments]


def repro_once(
    targets: Sequence[str],
    *,
    single: bool = False,
    on_line: Callable[[str], object] | None = None,
    echo: bool = False,
    root: Path | None = None,
) -> Transcript:
    """`dvc --wait-for-lock repro [--single-item] [targets]`, watched; never raises on failure.

    DVC's own words about a lock of another run are neither handed over nor echoed.
    """
    heal(root or Path())
    transcript = Transcript()

    def take(text: str) -> None:
        transcript.line(text)
        if on_line and not transcript.busy:
            on_line(text)

    options = ["--single-item"] if single else []
    command = dvc_command("--wait-for-lock", "repro", *options, *targets)
    code = stream(command, take, folder=root, echo=echo, hushed=lambda: transcript.busy)
    transcript.end(code)
    return transcript


def require_success(transcript: Transcript, subject: str = "dvc repro") -> list[StageRun]:
    """Return what the stages did.

    Raises:
        LockedError: another process holds a path; try again later.
        ReproError: a stage or DVC failed; the stage's own line says why.
    """
    code, runs = transcript.code, list(transcript.runs.values())
    if code == 0 and not transcript.unkept:
        return runs
    failed = [run.address for run in runs if run.state == "failed"]
    subject = failed[-1] if failed else subject
    how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    error = ReproError(subject, transcript.error or how, "correct that and run the same again")
    if transcript.unkept:
        what = f"DVC's cache did not take its output ({transcript.unkept})"
        error = ReproError(subject, what, "make room (`dvc gc --workspace`), then run it again")
    if transcript.busy:
        error = LockedError(subject, "is held by another run", "wait for its end, then try again")
    error.runs = tuple(runs)
    raise error


def repro(
    targets: Sequence[str] = (),
    *,
    on_line: Callable[[str], object] | None = None,
    echo: bool = False,
    root: Path | None = None,
) -> list[StageRun]:
    """Run `dvc repro`, waiting for other runs that hold what it needs, as long as they do.

    `--wait-for-lock` waits for the lock of the repository. The locks of single paths, which a
    running stage keeps, are refused at once by DVC, so we wait ourselves, and say so once.

    Returns:
        One entry per stage, in running order. What ran before a wait counts as run.

    Raises:
        ReproError: see `require_success`.
    """
    runs: dict[str, StageRun] = {}
    found = Transcript()

    def attempt() -> str:
        nonlocal found
        found = repro_once(targets, on_line=on_line, echo=echo, root=root)
        done = {a for a, run in runs.items() if run.state == "ran"}
        runs.update({a: r for a, r in found.runs.items() if a not in done or r.state != "cached"})
        return found.refusal if found.code else ""

    patiently(attempt, root or Path(), on_line or say_aside)
    found.runs = runs
    return require_success(found)


def say_aside(text: str) -> None:
    """Print one line to stderr, at once."""
    print(text, file=sys.stderr, flush=True)
