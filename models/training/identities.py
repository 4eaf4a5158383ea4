"""Who a side of a training shows: one identity, or the members of a pool.

A pool is a folder with pool.json, which stage `pool` writes beside the shards of its members:
{"pool": name, "members": [{"identity", "held_out", ...}, ...]}, sorted by identity.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from likeness.contracts.errors import ModelError
from likeness.contracts.tables.base import Facts
from models.batch import Batch
from models.training.crops import CropSet, open_crops

POOL_FILE = "pool.json"


@dataclass(frozen=True)
class Identities:
    """The crops of one side; implements `models.batch.Crops`.

    Attributes:
        identity: name of the identity or of the pool.
        sets: crops of each person that is trained on, by identity.
        is_pool: `identity` names a pool.
    """

    identity: str
    sets: tuple[CropSet, ...]
    is_pool: bool = False

    def __len__(self) -> int:
        """Number of crops that are trained on."""
        return sum(len(crops) for crops in self.sets)

    @property
    def facts(self) -> Facts:
        """Metadata of the first shard."""
        return self.sets[0].facts

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns read beside "crop"."""
        return self.sets[0].needs

    @property
    def size_px(self) -> int:
        """Side of the crops in a batch."""
        return self.sets[0].size_px

    @property
    def coverage(self) -> float:
        """Share of align's crop that they show."""
        return self.sets[0].coverage

    def tables(self, size: int, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Rows of everybody in order, in batches of at most `size`."""
        for crops in self.sets:
            yield from crops.tables(size, columns)

    def batches(self, size: int) -> Iterator[Batch]:
        """Crops in a fixed order, in batches of at most `size`, without augmentation."""
        for crops in self.sets:
            yield from crops.batches(size)

    def some(self, count: int) -> Batch:
        """At most `count` crops spread evenly over everybody, for previews."""
        turns = np.linspace(0, len(self.sets) - 1e-9, count).astype(int)
        shares = np.bincount(turns, minlength=len(self.sets))
        parts = [s.some(int(n)) for s, n in zip(self.sets, shares, strict=True) if n]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def read_pool(folder: Path) -> dict[str, Any] | None:
    """pool.json of a pool's folder; None where the folder is an identity's.

    Raises:
        ModelError: it is damaged.
    """
    path = folder / POOL_FILE
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**content, "members": list(content["members"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(path, f"is damaged ({error!r})", "run `dvc repro`") from None


def folders_of(folder: Path) -> list[Path]:
    """Folders of the shards that training reads: of the identity, or of the pool's members.

    Members held out are not among them: nothing in this room ever opens their shards.
    """
    pool = read_pool(folder)
    if pool is None:
        return [folder]
    return [folder.parent / m["identity"] for m in pool["members"] if not m["held_out"]]


def open_identities(
    folder: Path, needs: tuple[str, ...], size_px: int, coverage: float
) -> Identities:
    """Everybody behind the shards in `folder`, of an identity or of a pool.

    Raises:
        ModelError: nobody to train on, a person without crops, or crops of different templates.
        TableError: a shard that is no shard.
    """
    pool, folders = read_pool(folder), folders_of(folder)
    if not folders:
        problem = "names nobody to train on"
        raise ModelError(folder, problem, "add identities to the pool in params.yaml")
    sets = tuple(open_crops(f, needs, size_px, coverage) for f in folders)
    for crops in sets:
        require_alike(crops, sets[0])
    name = sets[0].identity if pool is None else str(pool["pool"])
    return Identities(name, sets, pool is not None)


def require_alike(crops: CropSet, other: CropSet) -> None:
    """Check that two identities' crops were aligned in one way.

    Raises:
        ModelError: template or sizes differ.
    """
    for fact in ("template", "size_px", "mask_size_px"):
        if crops.facts[fact] != other.facts[fact]:
            problem = f"has {fact} {crops.facts[fact]}, {other.identity} {other.facts[fact]}"
            raise ModelError(crops.identity, problem, "run `dvc repro` on both")
