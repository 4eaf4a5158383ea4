"""What git remembers of a swap's metrics: the numbers of the last run that was committed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Committed:
    """Metrics as a commit holds them.

    Attributes:
        commit: its abbreviated hash.
        subject: first line of its message.
        metrics: content of metrics.json.
        is_current: the working tree holds the same numbers, so this is the run before them.
    """

    commit: str
    subject: str
    metrics: dict[str, Any]
    is_current: bool = False


def _git(root: Path, *arguments: str) -> str | None:
    """Output of git in `root`; None where there is no git, no repository or no such thing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _metrics_at(root: Path, commit: str, path: str) -> dict[str, Any] | None:
    text = _git(root, "show", f"{commit}:./{path}")
    try:
        content = json.loads(text or "null")
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def last_committed(root: Path, path: str, now: dict[str, Any]) -> Committed | None:
    """The run to compare with: that of HEAD, as `dvc metrics diff` does.

    Where HEAD holds the very numbers of `now`, the last commit with others is taken instead: a
    table of zeros would tell nothing.

    Args:
        root: folder of the repository.
        path: of metrics.json, relative to `root`.
        now: its content in the working tree.

    Returns:
        None where no commit holds other metrics of this swap.
    """
    listed = _git(root, "log", "-n", "50", "--format=%h %s", "--", f"./{path}") or ""
    same = _metrics_at(root, "HEAD", path) == now
    for line in listed.splitlines():
        commit, _, subject = line.partition(" ")
        found = _metrics_at(root, commit, path)
        if found is not None and found != now:
            return Committed(commit, subject, found, is_current=same)
    return None
