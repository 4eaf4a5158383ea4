"""Footage that a clip holds already, told by the hashes that DVC keeps beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from likeness.contracts.documents import load_yaml


def same_footage(source: Path, names: Sequence[str], data: Path) -> list[str]:
    """Clips whose footage is the same, byte for byte.

    Args:
        source: file, or folder of stills.
        names: the stills of the folder that would be copied; () for a file.
        data: the repository's folder of clips and consents.
    """
    tracked = {clip: out for clip, out in _tracked(data) if out.get("size") == _size(source, names)}
    if not tracked:
        return []
    mine = _folder_md5(source, names) if source.is_dir() else _md5(source)
    return [clip for clip, out in tracked.items() if out.get("md5") == mine]


def _tracked(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(data.glob("clips/*/*.dvc")):
        for out in load_yaml(path).get("outs") or []:
            yield path.parent.name, out


def _size(source: Path, names: Sequence[str]) -> int:
    if source.is_dir():
        return sum((source / name).stat().st_size for name in names)
    return source.stat().st_size


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _folder_md5(folder: Path, names: Sequence[str]) -> str:
    """As DVC hashes a folder: the list of its files as JSON, by name."""
    listed = [{"md5": _md5(folder / name), "relpath": name} for name in sorted(names)]
    text = json.dumps(listed, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"
