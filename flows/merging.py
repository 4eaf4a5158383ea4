"""How git merges what DVC and stages write: stage by stage, and never into a conflict.

Two branches that each ran `dvc repro` have written the same lines of the root's dvc.lock, wherever
a stage looks over everybody. `.gitattributes` names this driver, `teach_git` tells git where it is:

    /bin/sh tasks/python -m flows.merging BASE OURS THEIRS PATH

A stage that one side alone has run anew is taken from that side. One that both have is dropped:
`dvc repro` runs it once more, on what the merge brought together, and writes its figures anew.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

NAME = "likeness"
DRIVER = "/bin/sh tasks/python -m flows.merging %O %A %B %P"


def merged(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Entries by name, each from the side that changed it; gone where both did, differently."""
    found = {}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        sides = base.get(name), ours.get(name), theirs.get(name)
        before, mine, other = sides
        chosen = other if mine == before else mine if other in (before, mine) else None
        if chosen is not None:
            found[name] = chosen
    return found


def merge_locks(base: Path, ours: Path, theirs: Path) -> None:
    """Merge dvc.lock files into `ours`.

    Raises:
        DvcException: a side that is no YAML.
    """
    from dvc.utils.serialize import dump_yaml, load_yaml

    sides: list[dict[str, Any]] = [load_yaml(path) or {} for path in (base, ours, theirs)]
    before, mine, other = [dict(side.get("stages") or {}) for side in sides]
    content = {**sides[2], **sides[1], "stages": merged(before, mine, other)}
    dump_yaml(ours, content)


def teach_git(root: Path) -> None:
    """Tell this clone's git which command merges lock files; nothing without git."""
    with contextlib.suppress(OSError):  # no git: nobody merges here
        get = ["git", "config", "--get", f"merge.{NAME}.driver"]
        known = subprocess.run(get, cwd=root, capture_output=True, text=True, check=False)
        if (root / ".git").exists() and known.stdout.strip() != DRIVER:
            put = ["git", "config", f"merge.{NAME}.driver", DRIVER]
            subprocess.run(put, cwd=root, capture_output=True, check=False)


def main() -> None:
    """Merge one file, as git calls it; exit 1 leaves the conflict to a person."""
    base, ours, theirs, path = sys.argv[1:5]
    if Path(path).name == "dvc.lock":
        try:
            merge_locks(Path(base), Path(ours), Path(theirs))
        except Exception as error:  # of any kind: git then shows both sides, as it always does
            sys.exit(f"{path}: cannot be merged by stages ({' '.join(str(error).split())})")
    # Figures stay as they are here: their stage has been dropped from the lock and writes them.


if __name__ == "__main__":
    main()
