"""Changes of clips and people that happen whole or not at all, whatever ends the process.

A change notes each step in a journal before it takes it: `data/.tmp-change-*/`, which git and DVC
ignore, on the file system of what it moves. Ctrl-C and errors undo the steps at once. After SIGKILL
the next command does (`recover`): a journal whose lock nobody holds has lost its process. Only
one's own steps are undone; what others wrote meanwhile stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from likeness.contracts.atomic import write_text
from likeness.contracts.errors import CatalogError

OPEN, DONE, OWNER, JOURNAL = ".tmp-change-", ".tmp-done-", ".tmp-owner", "journal"
LOCK = Path(".dvc/tmp/likeness-documents.lock")
Say = Callable[[str], object]


@contextlib.contextmanager
def documents(root: Path, say: Say = print) -> Iterator[None]:
    """Hold the one lock of all documents: read, decide and write under it; for moments only.

    Args:
        say: told once for whom this waits.
    """
    path = root / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            say(f"waiting for another `likeness` (process {handle.read() or 'unknown'})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _owned(path: Path, change: str) -> bool:
    """Whether a folder was made by this change, and not by another process after it."""
    owner = path / OWNER
    return owner.is_file() and owner.read_text(encoding="utf-8") == change


def _undo(step: dict[str, str], folder: Path, root: Path) -> None:
    """Take one step back; again and again with the same result, should this be killed as well."""
    path = root / step["path"]
    if step["step"] == "folder":
        if _owned(path, folder.name):
            _remove(path)
    elif step["step"] == "file":
        _remove(path)
    elif step["step"] == "moved":
        source = root / step["to"]
        if source.exists() and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            source.rename(path)
    else:  # "aside", "kept"
        kept = folder / step["as"]
        if kept.exists():
            _remove(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            kept.rename(path)


def _steps(folder: Path) -> list[dict[str, str]]:
    """Steps of a journal; a last line that was cut off belongs to a step that was not taken."""
    found = []
    for line in (folder / JOURNAL).read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def _sweep(folder: Path, root: Path) -> None:
    """Remove what a change that has come about leaves: owners' notes, and what it put aside."""
    opened = folder.name.replace(DONE, OPEN)
    for step in _steps(folder) if (folder / JOURNAL).is_file() else []:
        if step["step"] == "folder" and _owned(root / step["path"], opened):
            (root / step["path"] / OWNER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


class Change:
    """Steps that are all taken, or all undone.

    Use it as a context: an exception undoes, `commit` makes it so.

    Args:
        root: folder of the repository.
        say: told once for whom this waits.
    """

    def __init__(self, root: Path, say: Say = print) -> None:
        self.root = root
        self.folder = root / "data" / f"{OPEN}{os.getpid()}-{secrets.token_hex(4)}"
        self._number = 0
        with documents(root, say):  # `recover` looks under this lock: it sees no journal unlocked
            self.folder.mkdir(parents=True)
            self._journal: IO[str] = (self.folder / JOURNAL).open("a", encoding="utf-8")
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None
    ) -> None:
        if self.folder.is_dir():
            self.undo()
        self._journal.close()

    def undo(self) -> None:
        """Take every step back, the last one first."""
        for step in reversed(_steps(self.folder)):
            _undo(step, self.folder, self.root)
        shutil.rmtree(self.folder, ignore_errors=True)

    def commit(self) -> None:
        """Make it so: one rename. What remains is sweeping up."""
        done = self.folder.with_name(self.folder.name.replace(OPEN, DONE))
        self.folder.rename(done)
        _sweep(done, self.root)

    def _note(self, step: str, path: Path, **more: Any) -> None:
        entry = {"step": step, "path": str(path.relative_to(self.root)), **more}
        self._journal.write(json.dumps(entry) + "\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def spare(self) -> Path:
        """A path of the change's own, for what is to be placed or was put aside."""
        self._number += 1
        return self.folder / str(self._number)

    def make_folder(self, path: Path) -> None:
        """Claim a folder that is not there, or empty.

        Raises:
            CatalogError: it holds something.
        """
        staged = self.spare()
        staged.mkdir()
        (staged / OWNER).write_text(self.folder.name, encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._note("folder", path)
        try:
            staged.rename(path)
        except OSError:
            step = "choose another name"
            raise CatalogError(path.relative_to(self.root), "is there already", step) from None

    def put_aside(self, path: Path) -> None:
        """Take a file or folder away; nothing happens where there is none."""
        if path.exists() or path.is_symlink():
            kept = self.spare()
            self._note("aside", path, **{"as": kept.name})
            path.rename(kept)

    def move(self, path: Path, to: Path) -> None:
        """Rename within the repository."""
        self._note("moved", path, to=str(to.relative_to(self.root)))
        path.rename(to)

    def will_make(self, path: Path) -> None:
        """Note a file or folder that is about to be made where there is none."""
        self._note("file", path)

    def write(self, path: Path, text: str) -> None:
        """Write a document; what it said before is kept until the change has come about."""
        fresh = self.spare()
        write_text(fresh, text)
        if path.exists():
            kept = self.spare()
            shutil.copy2(path, kept)
            self._note("kept", path, **{"as": kept.name})
        else:
            self.will_make(path)
        fresh.replace(path)


def recover(root: Path, say: Say = print) -> None:
    """Undo the changes of processes that are gone, and sweep up behind those that came about."""
    data = root / "data"
    if not any(data.glob(f"{OPEN}*")) and not any(data.glob(f"{DONE}*")):
        return
    with documents(root, say):
        for folder in sorted(data.glob(f"{OPEN}*")):
            _recover(folder, root, say)
        for folder in sorted(data.glob(f"{DONE}*")):
            _sweep(folder, root)


def _recover(folder: Path, root: Path, say: Say) -> None:
    journal = folder / JOURNAL
    if not journal.is_file():  # killed before its first step
        shutil.rmtree(folder, ignore_errors=True)
        return
    with journal.open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # its process lives
        steps = _steps(folder)
        for step in reversed(steps):
            _undo(step, folder, root)
        shutil.rmtree(folder, ignore_errors=True)
    if steps:
        say(f"undid what was left half done at {steps[0]['path']}: its process had been killed")
