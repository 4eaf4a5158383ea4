"""The source identity as a swap is judged by: a gallery to compare with, crops to paste."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likeness.contracts.errors import TableError
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import decode_jpeg
from likeness.metrics import identity, sampling, views
from likeness.metrics.stream import SourceFaces

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Embed = Callable[[Pixels], npt.NDArray[np.floating]]
ENOUGH_FACES = 16
"""Clean faces that the held-out split must have to stand as the gallery alone."""


def read_source(folder: Path, embed: Embed, wanted: int) -> tuple[SourceFaces, dict[str, Any]]:
    """Gallery and crops of the source identity, and what to say about them.

    The gallery is of the held-out split where that has enough clean faces.

    Raises:
        TableError: the shards hold no face.
    """
    files = sorted(folder.glob("*.parquet"))
    columns = ["similarity", "mesh_error", "pose_deg"]
    tables = [SHARDS.read(path, columns) for path in files]
    table = pa.concat_tables(tables) if tables else SHARDS.schema.empty_table()
    if not table.num_rows:
        raise TableError(folder, "holds no face of the source", "add footage of the source")
    held_out = np.repeat([p.name.startswith("val") for p in files], [t.num_rows for t in tables])
    similarity, errors = as_numpy(table["similarity"]), as_numpy(table["mesh_error"])
    poses = as_numpy(table["pose_deg"], (3,)).astype(np.float64)
    good = sampling.clean(similarity, errors)
    apart = good[held_out[good]]
    split = "val" if len(apart) >= ENOUGH_FACES else "train and val"
    compared = apart if split == "val" else good
    compared = compared[sampling.evenly(len(compared), wanted)]
    pasted = good[sampling.spread(poses[good], wanted)]
    found = read_crops(files, set(compared.tolist()) | set(pasted.tolist()))
    crops = [views.gallery_crop(*found[int(row)]) for row in compared]
    embeddings = np.asarray(embed(np.stack(crops)), np.float64)
    source = SourceFaces(
        identity.centroid(embeddings), poses[pasted], [found[int(row)][0] for row in pasted]
    )
    facts = {"gallery_faces": len(compared), "gallery_held_out": split == "val"}
    return source, facts | {"source_itself": identity.to_the_others(embeddings)}


def read_crops(
    files: list[Path], rows: set[int]
) -> dict[int, tuple[npt.NDArray[np.uint8], Values]]:
    """Crop (S,S,3) and landmarks_5 (5,2) of some rows, counted through all files."""
    found: dict[int, tuple[npt.NDArray[np.uint8], Values]] = {}
    first = 0
    for path in files:
        for batch in SHARDS.batches(path, ["crop", "landmarks_5"]):
            for row in range(batch.num_rows):
                if first + row in rows:
                    five = np.asarray(batch["landmarks_5"][row].as_py(), np.float64)
                    crop = decode_jpeg(batch["crop"][row].as_py())
                    found[first + row] = (crop, five.reshape(5, 2))
            first += batch.num_rows
    return found
