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
    except LikenessError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if is_memory(error):
            return _no_memory(subject)
        fault = LikenessError(error.filename or subject, error.strerror or str(error), step)
        print(f"error: {fault}", file=sys.stderr)
        return fault.exit_code
    except MemoryError:
        fault = LikenessError(subject, "needs more memory than there is", "free some, then go on")
        print(f"error: {fault}", file=sys.stderr)
        return fault.exit_code
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if is_memory(error):
            return _no_memory(subject)
        if type(error).__module__ != CODEC_ERRORS:
            raise
        fault = LikenessError(subject, f"FFmpeg gave up ({error})", "check the footage's sound")
        print(f"error: {fault}", file=sys.stderr)
        return fault.exit_code
    return 0


def _no_memory(subject: Path | str) -> int:
    print(f"error: {LikenessError(subject, *NO_MEMORY)}", file=sys.stderr)
    return LikenessError.exit_code
