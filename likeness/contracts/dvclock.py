"""DVC's locks of a repository: taken for a moment, waited for in one line, healed after a kill.

The one helper for whoever reads dvc.lock or starts DVC beside other runs. DVC keeps two locks in
`.dvc/tmp`: `lock`, the repository's, held while it reads, hashes and rewrites dvc.lock but not
while a stage works; and `rwlock`, a JSON file of the paths that running stages read and write.

    held(root)          take the repository's lock, as DVC does, for milliseconds
    owner_of(root)      process that holds the repository's lock; 0 if nobody does
    heal(root)          put right what a kill left in `rwlock`
    Waiting(root, say)  "waiting for another run (process N)" once, then silence
    patiently(work, …)  call `work` until DVC no longer refuses it
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from likeness.contracts.closure import still
from likeness.contracts.listed_code import FOLDER
from likeness.contracts.rwlock import entries, heal, lock_folder, locked_file, noted_pid, overlap

__all__ = ["Waiting", "beside", "entries", "heal", "held", "is_refusal", "owner_of", "patiently"]

PAUSE_S = 0.2
"""Seconds between two looks at a lock."""

REFUSED = ("is busy, it is being blocked by", "Unable to acquire lock")
"""What DVC says when another run holds a path, or the repository."""

_BUSY_PATH = re.compile(r"'([^']+)' is busy, it is being blocked by")


def owner_of(root: Path) -> int:
    """Process that holds the repository's lock now; 0 if it is free, -1 if unknown."""
    path = lock_folder(root) / "lock"
    if not path.is_file():
        return 0
    with locked_file(path) as lock:
        return 0 if lock else noted_pid(path) or -1


@contextlib.contextmanager
def held(
    root: Path, say: Callable[[str], object] | None = None, wait_s: float | None = None
) -> Iterator[bool]:
    """Hold the repository's lock: nobody rewrites a dvc.lock meanwhile.

    Only for milliseconds: a `dvc repro` that wants it gives up after three seconds. Start no DVC
    inside. A folder without DVC has no lock, and nothing is waited for.

    Args:
        root: folder of the repository.
        say: told once for whom this waits.
        wait_s: go on without the lock after so many seconds; None waits for its end.

    Yields:
        Whether the lock is held.
    """
    if not (root / ".dvc").is_dir():
        yield False
        return
    waiting = Waiting(root, say)
    until = None if wait_s is None else time.monotonic() + wait_s
    while True:
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context(locked_file(lock_folder(root) / "lock"))
            except OSError:  # a repository that may only be read: nobody rewrites it either
                lock, until = None, 0.0
            if lock or (until is not None and time.monotonic() >= until):
                yield lock is not None
                return
        waiting.pause(noted_pid(lock_folder(root) / "lock"))


class Waiting:
    """Says for whom one waits: one line for each process, then silence.

    Args:
        root: folder of the repository.
        say: receives the line.
    """

    def __init__(self, root: Path, say: Callable[[str], object] | None) -> None:
        self._root = root
        self._say = say
        self._said: set[int] = set()

    def pause(self, pid: int, seconds: float = PAUSE_S, words: str = "") -> None:
        """Say whom it is for, if that is news, and sleep; `words` stand behind it."""
        if self._say and pid not in self._said:
            who = f" (process {pid})" if pid > 0 else ""
            self._say(f"waiting for another run{who}{words}")
        self._said.add(pid)
        time.sleep(seconds)

    def until_free(self, refusal: str = "") -> None:
        """Wait until the repository's lock is free, and the path that DVC refused as well.

        Args:
            refusal: DVC's own words, which name the path.
        """
        found = _BUSY_PATH.search(refusal)
        path = str((self._root / found[1]).resolve()) if found else ""
        lists = str((self._root / FOLDER).resolve())
        words = beside(self._root) if path and overlap(path, lists) else ""
        while True:
            heal(self._root)
            others = [e for e in entries(self._root) if path and overlap(e.path, path)]
            pid = others[0].pid if others else owner_of(self._root)
            if not pid:
                return
            self.pause(pid, words=words)


def beside(root: Path) -> str:
    """What to do meanwhile, if the code is not what stage `code` noted; "" if it is.

    A running stage reads its list of code, so that DVC lets nobody write the lists anew.
    """
    folder = root / FOLDER
    noted = {str(path): path.read_text(encoding="utf-8") for path in folder.rglob("*.txt")}
    if still(noted, root):
        return ""
    return (
        "; it works with the code of before: changed code runs beside it in a worktree"
        " (`git worktree add`) or by `dvc exp run --temp`"
    )


def patiently(
    work: Callable[[], str], root: Path, say: Callable[[str], object] | None = None
) -> None:
    """Call `work`, which runs DVC, until no other run is in its way; Ctrl-C ends the waiting.

    Args:
        work: returns DVC's words where it was refused (see `is_refusal`), else "".
        root: folder of the repository.
        say: told once for whom this waits.
    """
    waiting = Waiting(root, say)
    waiting.until_free()
    while refusal := work():
        waiting.until_free(refusal)
        time.sleep(PAUSE_S)  # a refusal whose cause has gone meanwhile must not spin


def is_refusal(text: str) -> bool:
    """Whether DVC says that another run is in the way."""
    return any(words in text for words in REFUSED)
