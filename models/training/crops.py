"""The crops of an identity, out of its shards or of one clip, in batches of what a family reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from likeness.contracts import environment
from likeness.contracts.errors import ModelError
from likeness.contracts.tables.base import Facts, as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import decode_jpeg
from models.batch import Batch, as_image

OVERSAMPLING = 1.5
"""Crops wait in memory at this many times the resolution that the network sees."""
POINTS = {"landmarks_5": (5, 2), "landmarks_468": (468, 3)}
NUMBERS = {"pose_deg": (3,), "similarity": (), "sharpness": (), "mesh_error": ()}


def decode(jpegs: list[bytes]) -> Tensor:
    """JPEGs of one size -> uint8 (N,S,S,3) RGB, on all threads."""
    with ThreadPoolExecutor(environment.threads()) as executor:
        return torch.from_numpy(np.stack(list(executor.map(decode_jpeg, jpegs))))


def cut(picture: Tensor, coverage: float, size_px: int) -> Tensor:
    """Central `coverage` of (B,C,A,A), antialiased, at (B,C,S,S); as it is where nothing changes.

    Pixel centres map as in tasks/convert.py: the covered square's edges to the crop's edges.
    """
    side = picture.shape[-1]
    margin = side * (1 - coverage) / 2
    if abs(margin - round(margin)) < 1e-6:
        inner = round(margin)
        seen = picture[..., inner : side - inner, inner : side - inner].contiguous()
        return seen if seen.shape[-1] == size_px else resize(seen, size_px)
    # The covered square has no whole pixels: shrink everything first, then sample between them.
    fine = resize(picture, min(side, round(OVERSAMPLING * size_px / coverage)))
    centres = (2 * torch.arange(size_px) + 1) / size_px - 1
    rows, columns = torch.meshgrid(centres * coverage, centres * coverage, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1).expand(len(picture), -1, -1, -1)
    return functional.grid_sample(fine, grid, padding_mode="border", align_corners=False)


def resize(picture: Tensor, size_px: int) -> Tensor:
    """(B,C,A,A) -> (B,C,S,S), bilinear with antialiasing."""
    return functional.interpolate(picture, size=(size_px, size_px), mode="bilinear", antialias=True)


@dataclass
class CropSet:
    """All crops of one identity; implements `models.batch.Crops`.

    Attributes:
        identity: whose they are.
        paths: shards, in order.
        facts: metadata of the first shard (size_px, mask_size_px, template, ...).
        count: crops in all shards.
        needs: columns read beside "crop".
        size_px: side of the crops in a batch.
        coverage: share of align's crop that they show.
    """

    identity: str
    paths: list[Path]
    facts: Facts
    count: int
    needs: tuple[str, ...]
    size_px: int
    coverage: float

    def __len__(self) -> int:
        """Number of crops."""
        return self.count

    def tables(self, size: int, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Rows of all shards in order, in batches of at most `size`."""
        for path in self.paths:
            yield from SHARDS.batches(path, columns=list(columns), rows=size)

    def batches(self, size: int) -> Iterator[Batch]:
        """Crops in a fixed order, in batches of at most `size`, without augmentation."""
        for rows in self.tables(size, ("crop", *self.needs)):
            yield self.batch(rows)

    def batch(self, rows: pa.RecordBatch) -> Batch:
        """Tensors of some rows, in the coordinates of the family's crops."""
        pictures = as_image(decode(rows["crop"].to_pylist()))
        batch = {"crop": cut(pictures, self.coverage, self.size_px)}
        if "mask" in self.needs:
            masks = masks_of(rows, int(self.facts["mask_size_px"])).float()[:, None] / 255
            batch["mask"] = cut(masks, self.coverage, self.size_px)
        for name in (n for n in self.needs if n in POINTS or n in NUMBERS):
            shape = POINTS[name] if name in POINTS else NUMBERS[name]
            values = torch.from_numpy(as_numpy(rows[name], shape).astype(np.float32))
            batch[name] = self.points(values) if name in POINTS else values
        return batch

    def points(self, landmarks: Tensor) -> Tensor:
        """Landmarks (N,K,2 or 3) from px of align's crop to px of the family's; z is scaled."""
        aligned = int(self.facts["size_px"])
        scale = self.size_px / (self.coverage * aligned)
        moved = landmarks * scale
        moved[..., :2] += 0.5 * scale - 0.5 - (1 - self.coverage) / 2 * aligned * scale
        return moved

    def some(self, count: int) -> Batch:
        """At most `count` crops spread evenly over the set, for previews."""
        chosen = np.unique(np.linspace(0, self.count - 1, min(count, self.count)).round())
        return self.pick([int(index) for index in chosen])

    def pick(self, chosen: list[int]) -> Batch:
        """The crops of these rows (at least one), in the order given."""
        seen, kept = 0, dict[int, pa.RecordBatch]()
        for rows in self.tables(512, ("crop", *self.needs)):
            here = [index for index in chosen if seen <= index < seen + rows.num_rows]
            kept |= {index: rows.slice(index - seen, 1) for index in here}
            seen += rows.num_rows
        parts = [self.batch(kept[index]) for index in chosen]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def masks_of(rows: pa.RecordBatch, mask_size_px: int) -> Tensor:
    """Raw masks -> uint8 (N,M,M)."""
    joined = b"".join(rows["mask"].to_pylist())
    flat = np.frombuffer(joined, np.uint8)
    return torch.from_numpy(flat.reshape(rows.num_rows, mask_size_px, mask_size_px).copy())


def open_crops(
    folder: Path, needs: tuple[str, ...], size_px: int, coverage: float, split: str = "train"
) -> CropSet:
    """The crops of one split of the shards in `folder`.

    Raises:
        ModelError: there are none.
        TableError: a shard that is no shard.
    """
    paths = sorted(folder.glob(f"{split}-*.parquet"))
    count = sum(SHARDS.count(path) for path in paths)
    if not count:
        step = "add footage of this identity (`likeness add`) or loosen `filter:` and `shard:`"
        raise ModelError(folder, f"the {split} shards hold no crops", f"{step}, then `dvc repro`")
    facts = SHARDS.check(paths[0])
    unknown = sorted(set(needs) - set(POINTS) - set(NUMBERS) - {"mask"})
    if unknown:
        raise ModelError(folder, f"shards have no column {', '.join(unknown)}", "correct `needs`")
    return CropSet(str(facts["identity"]), paths, facts, count, needs, size_px, coverage)


def open_aligned(path: Path, needs: tuple[str, ...], size_px: int, coverage: float) -> CropSet:
    """The crops of one clip as stage `align` wrote them; there may be none.

    Raises:
        TableError: no table of crops.
    """
    facts, count = CROPS.check(path), CROPS.count(path)
    return CropSet(str(facts["identity"]), [path], facts, count, needs, size_px, coverage)


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of the shards, or nothing where a folder has none."""
    path = folder / "manifest.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
