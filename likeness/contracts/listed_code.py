"""Whether a stage runs the code that stage `code` listed for it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from likeness.contracts.errors import LikenessError

FOLDER = Path("data/code")
"""Where stage `code` writes the lists: `<stage>.txt`, and `families/<family>.txt`."""
_BEFORE = ("names", "code")
"""Stages that run before there are lists."""


def parsed(text: str) -> dict[str, str]:
    """Path -> sha256 of a list."""
    return {
        path: digest for digest, _, path in (line.partition("  ") for line in text.splitlines())
    }


def require_listed(name: str) -> None:
    """Stop a stage of DVC whose code is not what its list says.

    DVC locks the list as the code that made the output. An edit between `code` and this stage would
    make it with other code, and were the edit taken back, no later run would know. Does nothing
    outside DVC (no DVC_STAGE in the environment), where there is no such list, and for stages that
    run before it.

    Args:
        name: of the list below data/code, without suffix: `align`, `families/saehd`.

    Raises:
        LikenessError: a file differs from the list, or is gone.
    """
    lines = FOLDER / f"{name}.txt"
    if "DVC_STAGE" not in os.environ or name in _BEFORE or not lines.is_file():
        return
    for path, digest in parsed(lines.read_text(encoding="utf-8")).items():
        file = Path(path)
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise LikenessError(
                file,
                f"changed after stage `code` had listed what `{name}` runs",
                "run `dvc repro --force --single-item code`, then this again; "
                "beside a run, edit in a git worktree",
            )
