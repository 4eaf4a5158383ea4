"""Where the code may run: systems that are supported, and the interpreter of the project.

Standard library alone, and plain enough for an older Python to read: this runs first, and says in
one line what the imports after it would say in forty.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 11)
NEEDED = ("pydantic", "ruamel.yaml", "numpy", "pyarrow", "cv2", "av", "simplejpeg", "torch")
"""Modules that tell an environment of this project from a bare Python."""
_TRIED = "LIKENESS_INTERPRETER_TRIED"
"""Says to the interpreter that was started in another's place that it is the last one."""
NO_MEMORY = (
    "there is not enough memory",
    "close other programs, set LIKENESS_THREADS=1, or take smaller batches or crops",
)
"""What is wrong, and what to do about it."""
_WORDS = re.compile(
    r"can't allocate memory|cannot allocate memory|out of memory|insufficient memory|bad_?alloc"
    r"|failed to allocate|failed to map segment|can't start new thread"
    r"|could not create a primitive",
    re.IGNORECASE,
)
"""What torch, OpenCV, ONNX Runtime, FFmpeg, Arrow and Python say of memory that is not there."""
NO_WINDOWS = (
    "error: Windows: is not supported; use WSL 2 (`wsl --install`, then everything as on Linux)"
)


def is_memory(error: BaseException) -> bool:
    """Whether there was no memory, or no room for a thread: libraries each say so in their way."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return _WORDS.search(str(error)) is not None


def say_memory_in_one_line(subject: str) -> None:
    """Let a library that cannot even be loaded for lack of memory end the process with one line."""
    usual = sys.excepthook

    def hook(kind: Any, error: BaseException, trace: Any) -> None:
        if not is_memory(error):
            usual(kind, error, trace)
            return
        print(f"error: {subject}: {'; '.join(NO_MEMORY)}", file=sys.stderr, flush=True)
        os._exit(2)

    sys.excepthook = hook


def refuse_windows() -> None:
    """End with one line and code 2 on Windows, which lacks what runs are kept whole with."""
    if sys.platform == "win32":
        _end(NO_WINDOWS)


def missing_module() -> str:
    """The first of `NEEDED` that this interpreter does not find; "" if it has all."""
    for name in NEEDED:
        try:
            found = find_spec(name)
        except ImportError:  # the package around it is missing
            found = None
        if found is None:
            return name
    return ""


def require_environment(root: Path = ROOT) -> None:
    """Go on in the project's environment, or end with one line and code 2.

    An interpreter that has the packages is taken as it is. Any other starts `.venv/bin/python`
    with its own arguments in its place, so that `.venv/bin/dvc repro` works where nothing is
    activated.

    Args:
        root: folder that holds `.venv`.
    """
    refuse_windows()
    own, arguments = root / ".venv", getattr(sys, "orig_argv", None)
    tried = os.environ.pop(_TRIED, "")
    inside = own.is_dir() and Path(sys.prefix).resolve() == own.resolve()
    if inside and sys.version_info >= OLDEST and find_spec(NEEDED[0]) is not None:
        return
    lack = missing_module() if sys.version_info >= OLDEST else "Python 3.11 or newer"
    if not lack:
        return
    python = own / "bin" / "python"
    if not inside and not tried and arguments and os.access(python, os.X_OK):
        os.environ[_TRIED] = "1"
        os.execv(python, [str(python), *arguments[1:]])  # noqa: S606  # no shell is wanted
    broken = inside or tried or not python.exists()
    step = "run `make setup`" if broken else "run `source .venv/bin/activate`"
    _end(f"error: {sys.executable}: has no {lack}; {step} in {root}, then the same command again")


def _end(line: str) -> NoReturn:
    print(line, file=sys.stderr, flush=True)
    sys.exit(2)
