"""Keys pressed at the terminal while something runs."""

from __future__ import annotations

import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any

QUIT = ("q", "Q", "\x1b")


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        if self._listens:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def wants_to_quit(self) -> bool:
        """Whether `q` or Esc was pressed since the last call."""
        if not self._listens or not select.select([sys.stdin], [], [], 0)[0]:
            return False
        return sys.stdin.read(1) in QUIT
