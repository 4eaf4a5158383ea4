"""`python -I -S flows/child.py PARENT COMMAND...`: becomes COMMAND, which dies with its PARENT.

A process that is killed cannot end its children; Linux can, if they ask. Run as a file, without
the packages of the environment: it costs 10 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, command: list[str]) -> None:
    """Ask for SIGTERM at the parent's death, look whether it lives still, and exec."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)  # noqa: S606  # the caller's own command, without a shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
