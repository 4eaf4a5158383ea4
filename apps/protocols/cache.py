"""What was found in a video, kept by the hash of the video, so that a run can be taken up again."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apps.protocols.faces import Found
from likeness.contracts.atomic import atomic_path
from likeness.contracts.documents import sha256_of

VERSION = 1
"""Raise it when the same video would give other faces."""


class FaceCache:
    """Results of `Analyst` in a folder, one file per video and question.

    Args:
        folder: where to keep them; made when the first one is written.
        networks: what the results depend on beside the video: names and hashes.
    """

    def __init__(self, folder: Path, networks: dict[str, Any]) -> None:
        self._folder = folder / _digest(repr((VERSION, sorted(networks.items()))).encode())

    def found(self, video: Path, question: str, look: Callable[[], Found]) -> Found:
        """The answer to `question` about `video`: as it was kept, or looked for and kept.

        Raises:
            FootageError: `look` cannot read the video; nothing is kept.
        """
        name = f"{sha256_of(video)}-{_digest(question.encode())}.npz"
        known = _read(self._folder / name)
        if known is not None:
            return known
        answer = look()
        self._folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self._folder / name) as temporary, temporary.open("wb") as file:
            np.savez(file, **dataclasses.asdict(answer))
        return answer


def _read(path: Path) -> Found | None:
    """What is kept at `path`; None: nothing, or something that cannot be read."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            cells = {field.name: kept[field.name] for field in dataclasses.fields(Found)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # cut off by a full disk or of another kind: looked for again
    return Found(**{**cells, "lost": int(cells["lost"])})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
