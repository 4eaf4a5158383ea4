"""Whether params.yaml was checked as a whole: once per change, by a process of its own.

The classes that know what is allowed stand in `likeness.contracts.params` and in the families. A
process asks them all (`python -m tasks._settings`, three seconds with torch), so that nobody who
wants the answer depends on their code; that the file was found good is noted, and costs a
millisecond afterwards.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from likeness.contracts.atomic import write_text
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import LikenessError
from likeness.contracts.sections import PARAMS_FILE

MODULE = "tasks._settings"
ASKED = (
    "tasks/_settings.py",
    "models/swappers/**/*.py",
    "likeness/contracts/**/*.py",
)
"""Code that decides what is allowed: when it changes, the file is checked again."""
CODE = Path(__file__).resolve().parents[2]


class SettingsError(LikenessError):
    """What the checking process said, word for word."""

    def __init__(self, line: str) -> None:
        super().__init__(PARAMS_FILE, line, "correct that")
        self.line = line

    def __str__(self) -> str:
        return self.line


def _state(params_file: Path) -> str:
    """Changes with the file and with the code that judges it."""
    digest = hashlib.sha256(params_file.read_bytes())
    for pattern in ASKED:
        for path in sorted(CODE.glob(pattern)):
            found = path.stat()
            digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def require_settings(params_file: Path = PARAMS_FILE) -> None:
    """Check every value of every section and entry of params.yaml, unless that was done.

    Raises:
        SettingsError: file, line and key of the first value that is not allowed.
        LikenessError: the file is missing, or the check itself failed.
    """
    if not params_file.is_file():
        raise LikenessError(params_file, "does not exist", "create it or correct the path")
    note, state = state_folder() / "checked", _state(params_file)
    if note.is_file() and note.read_text(encoding="utf-8") == state:
        return
    command = [sys.executable, "-m", MODULE, str(params_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines() or ["no reason given"]
    if done.returncode == 0:
        write_text(note, state)
    elif said[-1].startswith("error: "):
        raise SettingsError(said[-1].removeprefix("error: "))
    else:
        raise LikenessError(params_file, f"cannot be checked ({said[-1]})", "report this")
