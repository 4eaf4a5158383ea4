"""Keys pressed at the terminal while something runs."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty
from typing import Any

QUIT = (b"q", b"Q", b"\x1b")
_LONGER = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[^\x1b\[O])")
"""What arrows, function keys and Alt with a key send: it begins as Esc does (ECMA-48)."""
_REST_S = 0.05
"""Time within which the rest of such a key follows."""


def means_quit(pressed: bytes) -> bool:
    """Whether `q` or Esc itself is among what a terminal sent."""
    left = _LONGER.sub(b"", pressed)
    return any(key in left for key in QUIT)


class TerminalKeys:
    """Hears `q` and Esc at the terminal without Enter; hears nothing where there is no terminal.

    Args:
        listen: False where standard input is something else, such as the video.
    """

    def __init__(self, *, listen: bool = True) -> None:
        self._listens = listen and sys.stdin.isatty()
        self._before: Any = None

    def __enter__(self) -> TerminalKeys:
        if self._listens:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        if self._listens:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def wants_to_quit(self) -> bool:
        """Whether `q` or Esc was pressed since the last call."""
        if not self._listens:
            return False
        pressed = self._sent(0)
        if pressed.endswith(b"\x1b"):
            pressed += self._sent(_REST_S)
        return means_quit(pressed)

    def _sent(self, timeout_s: float) -> bytes:
        """What waits at the terminal; past Python's buffer, in which `select` sees nothing."""
        if not select.select([sys.stdin], [], [], timeout_s)[0]:
            return b""
        return os.read(sys.stdin.fileno(), 1024)
