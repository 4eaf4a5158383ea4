"""The source identity as a swap is judged by: a gallery to compare with, crops to paste."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likeness.contracts import environment
from likeness.contracts.errors import TableError
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.shards import SHARDS
from likeness.evaluation import sampling, views
from likeness.evaluation.look import Networks
from likeness.media.images import decode_jpeg
from likeness.metrics import identity, perceptual, spacing

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Part = TypeVar("Part")
ENOUGH_FACES = 16
"""Clean faces that the held-out split must have to stand as the gallery alone."""
TOGETHER = 8
"""Crops per call of a network."""


@dataclass(frozen=True)
class SourceFaces:
    """What the source looks like.

    Attributes:
        gallery: (D,) unit vector, the centroid of the source's clean faces.
        poses: (K,3) of `crops`, degrees.
        crops: K crops (S,S,3) uint8 in align's template, to paste.
        facts: what to say about the gallery.
        features: (C,) of each face of the gallery, for FID and KID.
        second: (E,) the same centroid by the second embedder; None without one.
    """

    gallery: Values
    poses: Values
    crops: Sequence[Pixels]
    facts: dict[str, Any]
    features: Sequence[Values] = ()
    second: Values | None = None

    def nearest(self, pose_deg: Values) -> Pixels:
        """The crop whose pose is nearest."""
        return self.crops[int(np.linalg.norm(self.poses - pose_deg, axis=1).argmin())]

    def turned(self, yaws_deg: Sequence[float]) -> list[Pixels]:
        """The crops nearest to these yaws, upright otherwise; each of them once."""
        wanted = [np.array([yaw, 0.0, 0.0]) for yaw in yaws_deg]
        nearest = [int(np.linalg.norm(self.poses - pose, axis=1).argmin()) for pose in wanted]
        return [self.crops[place] for place in dict.fromkeys(nearest)]


def read_source(folder: Path, networks: Networks, wanted: int, judged: int) -> SourceFaces:
    """Gallery and crops of the source identity.

    The gallery is of the held-out split where that has enough clean faces.

    Args:
        folder: shards of the source.
        networks: embedders.
        wanted: faces to compare with, and to paste.
        judged: of them, faces that the second embedder sees.

    Raises:
        TableError: the shards hold no face.
    """
    files = sorted(folder.glob("*.parquet"))
    good, held_out, poses = _clean_rows(folder, files)
    apart = good[held_out[good]]
    split = "val" if len(apart) >= ENOUGH_FACES else "train and val"
    compared = apart if split == "val" else good
    compared = compared[spacing.evenly(len(compared), wanted)]
    pasted = good[spacing.spread(poses[good], wanted)]
    found = read_crops(files, set(compared.tolist()) | set(pasted.tolist()))
    crops = np.stack([views.gallery_crop(*found[int(row)]) for row in compared])
    embeddings, features = _recognised(networks, crops)
    facts: dict[str, Any] = {"gallery_faces": len(compared), "gallery_held_out": split == "val"}
    facts |= {"source_itself": identity.to_the_others(embeddings), "second_itself": np.nan}
    second = None
    if networks.has_second:
        shown = crops[spacing.evenly(len(crops), judged)]
        others = np.concatenate(_by_parts(networks.second, shown)).astype(np.float64)
        second = identity.centroid(others)
        facts |= {"second_itself": identity.to_the_others(others), "second_faces": len(others)}
    laid = [found[int(row)][0] for row in pasted]
    gallery = identity.centroid(embeddings)
    return SourceFaces(gallery, poses[pasted], laid, facts, features, second)


def _clean_rows(
    folder: Path, files: list[Path]
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.bool_], Values]:
    """Rows worth comparing with; of all rows whether they are held out, and their poses."""
    columns = ["similarity", "mesh_error", "pose_deg"]
    tables = [SHARDS.read(path, columns) for path in files]
    table = pa.concat_tables(tables) if tables else SHARDS.schema.empty_table()
    if not table.num_rows:
        raise TableError(folder, "holds no face of the source", "add footage of the source")
    held_out = np.repeat([p.name.startswith("val") for p in files], [t.num_rows for t in tables])
    similarity, errors = as_numpy(table["similarity"]), as_numpy(table["mesh_error"])
    poses = as_numpy(table["pose_deg"], (3,)).astype(np.float64)
    return sampling.clean(similarity, errors), held_out, poses


def _by_parts(work: Callable[[Pixels], Part], crops: Pixels) -> list[Part]:
    """What a network says of crops (N,112,112,3), a few at a time on all threads."""
    parts = [crops[first : first + TOGETHER] for first in range(0, len(crops), TOGETHER)]
    with ThreadPoolExecutor(environment.threads()) as workers:
        return list(workers.map(work, parts))


def _recognised(networks: Networks, crops: Pixels) -> tuple[Values, list[Values]]:
    """Embeddings (N,D) of crops (N,112,112,3), and features (C,) of each for FID and KID."""
    parts = _by_parts(networks.embed, crops)
    features = [
        perceptual.pooled([layer[row] for layer in layers])
        for embeddings, layers in parts
        for row in range(len(embeddings))
    ]
    return np.concatenate([found for found, _ in parts]).astype(np.float64), features


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
