"""What is legal and still worth a line: people without clips, clips that keep no face."""

from __future__ import annotations

import sys
from pathlib import Path

from likeness.contracts.catalog import Clip, list_clips, list_identities
from likeness.contracts.documents import read_json
from likeness.contracts.errors import LikenessError


def remarks(root: Path) -> list[str]:
    """One line for each person without clips, and each clip of whose person no face was kept."""
    clips = list_clips(root / "data")
    have = {clip.identity for clip in clips}
    lines = [
        f"identity `{person.identity}` has no clips; `likeness add` one, or "
        f"`likeness remove {person.identity}`"
        for person in list_identities(root / "data")
        if person.identity not in have
    ]
    return lines + [line for clip in clips if (line := _without_faces(clip, root))]


def _without_faces(clip: Clip, root: Path) -> str:
    path = root / "data/clips" / clip.clip / "faces.parquet"
    if not path.is_file():
        return ""
    from likeness.contracts.tables.faces import FACES  # Arrow takes longer than all else here

    try:
        facts = FACES.check(path)
        if FACES.count(path):
            return _without_crops(clip, path.with_name("aligned.json"))
    except LikenessError:  # of another version: that its stage is out of date is said elsewhere
        return ""
    reasons = {str(k): int(n) for k, n in dict(facts["reject_counts"]).items() if n}
    why = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items())
    found = f"of {facts['detections']} detections ({why})" if why else "nothing was detected"
    return (
        f"clip `{clip.clip}`: no face of `{clip.identity}` was kept, {found}; `likeness replace` "
        "it, `likeness assign` it to somebody else, or look at `filter` in params.yaml"
    )


def _without_crops(clip: Clip, path: Path) -> str:
    content = read_json(path) if path.is_file() else {}
    if content.get("rows", 1):
        return ""
    reasons = {str(k): int(n) for k, n in dict(content.get("left_out") or {}).items() if n}
    why = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items())
    more = f" ({why})" if why else ""
    return (
        f"clip `{clip.clip}`: no face of `{clip.identity}` could be aligned{more}; "
        "`likeness replace` it, or look at `align` in params.yaml"
    )


def say_remarks(root: Path) -> None:
    """Print the remarks to stderr, where they stand apart from tables and JSON."""
    for line in remarks(root):
        print(f"note: {line}", file=sys.stderr)
