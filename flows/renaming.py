"""A clip gets another name, also in the swaps that aim at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows.changes import Change, Say, documents
from flows.clips import PARAMS, TEMPLATE, clip_text, find_clip, names, require_free
from flows.removal import outputs
from likeness.contracts.atomic import write_text
from likeness.contracts.catalog import Clip, clip_folder, require_slug
from likeness.contracts.sections import SwapEntry, load_entry


def check_rename(clip: str, name: str, root: Path) -> Clip:
    """Check that a clip can have another name.

    Raises:
        CatalogError: no such clip, no valid name, or one that is taken.
    """
    require_slug("clip", name)
    record = find_clip(clip, root)
    require_free(name, root)
    return record


def rename(clip: str, name: str, root: Path, say: Say = print) -> list[str]:
    """Give a clip another name, in its folder, its documents, and in the swaps that aim at it.

    Returns:
        Swaps whose target was renamed.

    Raises:
        CatalogError: no such clip, or the new name is taken.
    """
    with Change(root, say) as change, documents(root, say):
        record = check_rename(clip, name, root)
        old, new = clip_folder(clip, root / "data"), clip_folder(name, root / "data")
        change.make_folder(new)
        for path in sorted(old.glob("footage*")):
            change.move(path, new / path.name)
        write_text(new / "clip.yaml", clip_text(record.model_copy(update={"clip": name})))
        write_text(new / "dvc.yaml", (root / TEMPLATE).read_text(encoding="utf-8"))
        change.put_aside(old)
        for path in outputs(TEMPLATE, root, "clip", clip=clip, identity="*"):
            change.put_aside(path)
        swaps = [s for s in names("swaps", root) if _target(s, root) == clip]
        if swaps:
            text = (root / PARAMS).read_text(encoding="utf-8")
            change.write(root / PARAMS, retargeted(text, swaps, name))
        change.commit()
    return swaps


def _target(swap: str, root: Path) -> str:
    return load_entry("swaps", swap, SwapEntry, root / PARAMS).target


def retargeted(text: str, swaps: list[str], clip: str) -> str:
    """`text` of params.yaml with another target in some swaps; everything else stays as it is."""
    content: Any = YAML(typ="rt").load(text)  # which knows where each value stands
    lines = text.splitlines(keepends=True)
    for swap in swaps:
        entry = content["swaps"][swap]
        row, column = entry.lc.value("target")
        line, old = lines[row], str(entry["target"])
        at = line.index(old, column)  # past quotes, if any
        lines[row] = line[:at] + clip + line[at + len(old) :]
    return "".join(lines)
