"""`.dvc/tmp/rwlock`: the paths that running stages read and write; read, and healed after a kill.

Part of `likeness.contracts.dvclock`, which says when to use what.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.contracts.atomic import write_text


@dataclass(frozen=True)
class Entry:
    """A path in `rwlock`, and the process that reads or writes it.

    Attributes:
        path: absolute.
        pid: of the process.
        command: its command line, without the interpreter.
        writes: it writes the path; else it reads it.
    """

    path: str
    pid: int
    command: str
    writes: bool


def lock_folder(root: Path) -> Path:
    """Folder of DVC's locks."""
    return root / ".dvc/tmp"


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[object | None]:
    """The lock file `path` as DVC locks it; None if another process has it now."""
    from zc.lockfile import LockError, LockFile

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = LockFile(str(path))
    except LockError:
        yield None
        return
    try:
        yield lock
    finally:
        lock.close()


def noted_pid(path: Path) -> int:
    """Process whose number stands in a lock file; 0 if none does."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="utf-8").split()[0])
    return 0


def overlap(one: str, other: str) -> bool:
    """Whether the paths are equal, or one lies below the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _parsed(text: str) -> list[Entry] | None:
    """Entries of `rwlock`; None if it is not what DVC writes."""
    try:
        content = json.loads(text)
        found = [
            Entry(path, int(info["pid"]), str(info["cmd"]), writes=mode == "write")
            for mode in ("write", "read")
            for path, infos in content.get(mode, {}).items()
            for info in (infos if isinstance(infos, list) else [infos])
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return found


def entries(root: Path) -> list[Entry]:
    """Paths that living processes read or write now, as DVC noted them; writers first."""
    try:
        text = (lock_folder(root) / "rwlock").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [entry for entry in _parsed(text) or [] if _lives(entry)]


def _lives(entry: Entry) -> bool:
    """Whether the process that made an entry runs still.

    DVC asks for the number alone, and another process that has it by now would block it for ever.
    """
    import psutil

    try:
        process = psutil.Process(entry.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    # The first word differs: "-m dvc" stands in the process as the path of a file in the entry.
    arguments = entry.command.split()[1:]
    return not arguments or " ".join(words).endswith(" ".join(arguments))


def heal(root: Path) -> list[str]:
    """Remove from `rwlock` what belongs to nobody: a broken file, entries of dead processes.

    DVC writes the file in place, so that a kill may leave it empty, and refuses it from then on.
    A broken file is left alone while any DVC works in the repository.

    Returns:
        What was put right, in words; nothing if all was well.
    """
    path = lock_folder(root) / "rwlock"
    if not path.is_file():
        return []
    try:
        with locked_file(path.with_name("rwlock.lock")) as guard:
            return _heal(path, root) if guard else []
    except OSError:  # a repository that may only be read
        return []


def _heal(path: Path, root: Path) -> list[str]:
    found = _parsed(path.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        if runs_in(root):
            return []
        write_text(path, "{}")
        return [f"{path} was broken and belonged to nobody"]
    dead = [entry for entry in found if not _lives(entry)]
    if not dead:
        return []
    write_text(path, json.dumps(_content(e for e in found if e not in dead)))
    return [f"{path} named process {pid}, which has ended" for pid in sorted({e.pid for e in dead})]


def _content(found: Iterable[Entry]) -> dict[str, Any]:
    content: dict[str, Any] = {"write": {}, "read": {}}
    for entry in found:
        info = {"pid": entry.pid, "cmd": entry.command}
        if entry.writes:
            content["write"][entry.path] = info
        else:
            content["read"].setdefault(entry.path, []).append(info)
    return content


def runs_in(root: Path) -> list[int]:
    """Living DVC processes that work in a repository."""
    import psutil

    home, found = str(root.resolve()), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()[:3]
            named = any(Path(word).name == "dvc" or word == "dvc" for word in words)
            if named and overlap(process.cwd(), home):
                found.append(process.pid)
    return found
