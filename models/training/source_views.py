"""The crops of the source that a family's `swap` gets in use: of its gallery or of its map."""

from __future__ import annotations

from pathlib import Path

import torch

from likeness.contracts.appearance import load_map
from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.swappers.abilities import source_images, wants_map
from models.swappers.base import Swapper
from models.training.crops import CropSet, open_crops
from models.training.gallery import views

KEYS = ("clip", "frame_index", "track_index")


def source_views(folder: Path, appearance: Path, swapper: Swapper) -> Batch:
    """What `swap` is given of an identity, as the family asks for it, on the CPU.

    Args:
        folder: shards of the identity.
        appearance: its map.json, which is read for families that want its views.
        swapper: of a family that is given crops.

    Raises:
        ModelError: the shards hold no crops, or as `mapped_views` says.
    """
    crops = open_crops(folder, swapper.needs, swapper.size_px, float(swapper.coverage))
    if wants_map(swapper):
        return mapped_views(crops, appearance)
    return views(crops, source_images(swapper))


def mapped_views(crops: CropSet, path: Path) -> Batch:
    """All views of a map in its order, with "map_points" and "map_triangles".

    Args:
        crops: the training half of the identity's shards.
        path: map.json, as stage `appearance` wrote it.

    Raises:
        ModelError: a map of somebody else, of other crops, or without views.
        LikenessError: no map, or one that is damaged.
    """
    found = load_map(path)
    if found.identity != crops.identity:
        problem = f"is of `{found.identity}`, the shards are of `{crops.identity}`"
        raise ModelError(path, problem, "run `dvc repro`")
    if not found.views:
        problem = f"has no view nearer to the front than {found.corner_deg:g} degrees"
        raise ModelError(path, problem, f"add footage of `{found.identity}`, then `dvc repro`")
    rows: dict[tuple[str, int, int], int] = {}
    for batch in crops.tables(4096, KEYS):
        for key in zip(*(batch[name].to_pylist() for name in KEYS), strict=True):
            rows[key] = len(rows)
    wanted = [(view.clip, view.frame_index, view.track_index) for view in found.views]
    for clip, frame, track in wanted:
        if (clip, frame, track) not in rows:
            problem = f"names frame {frame} of {clip}, which the shards do not hold"
            raise ModelError(path, problem, "run `dvc repro`")
    batch = crops.pick([rows[key] for key in wanted])
    batch["map_points"] = torch.tensor(found.points(), dtype=torch.float32)
    batch["map_triangles"] = torch.tensor(found.triangles, dtype=torch.int64)
    return batch
