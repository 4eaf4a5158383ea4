"""What command lines and stages share: numbers they take, and how they end."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from likeness.contracts.errors import LikenessError
from likeness.contracts.machine import NO_MEMORY, is_memory

INTERRUPTED = 130
CODEC_ERRORS = "av.error"
"""Module of what FFmpeg raises; named, since most commands never load it."""


def positive(text: str) -> int:
    """An argument that counts something: 1 or more.

    Raises:
        ArgumentTypeError: less; argparse says so and ends with 2.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def ended(
    work: Callable[[], None],
    subject: Path | str,
    interrupted: str,
    step: str = "free space or correct permissions",
) -> int:
    """Do the work and give the exit code; SIGTERM counts as Ctrl-C.

    Args:
        work: prints its own result.
        subject: what a fault of the disk is said of where it names no file.
        interrupted: to print on Ctrl-C: what is left behind.
        step: what to do about a fault of the disk.

    Returns:
        0; 2 with one line on a fault of the material, memory or disk; 130 on Ctrl-C.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, io.TextIOWrapper):  # a file's name need not be UTF-8
            out.reconfigure(errors="backslashreplace")
    try:
        work()
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        fault = _fault(error, subject, step)
        if fault is None:
            raise
        print(f"error: {fault}", file=sys.stderr)
        return fault.exit_code
    return 0


def _fault(error: Exception, subject: Path | str, step: str) -> LikenessError | None:
    """What an exception says to a person; None for one that is a defect of the code."""
    if isinstance(error, LikenessError):
        return error
    if is_memory(error):
        return LikenessError(subject, *NO_MEMORY)
    if isinstance(error, OSError):
        return LikenessError(error.filename or subject, error.strerror or str(error), step)
    if type(error).__module__ == CODEC_ERRORS:
        return LikenessError(subject, f"FFmpeg gave up ({error})", "check the footage's sound")
    return None
