"""What a live run takes from shards: the source's crops to give, the target's to know it by."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apps.live.settings import ModelFacts
from apps.live.tracker import Choose, Floats, largest, nearest_to
from models.analysers.pack import Pack
from models.batch import Batch, as_pixels
from models.conversion import device_of
from models.swappers.abilities import source_images
from models.swappers.base import Swapper
from models.training.crops import open_crops
from models.training.gallery import views
from models.training.source_views import source_views

REFERENCES = 8
"""Crops of the target that are compared with: clean ones, spread over its poses."""


def source_crops(data: Path, source: str, swapper: Swapper) -> Batch | None:
    """Clean crops of the source for families that are given some, on the model's device.

    Raises:
        ModelError: the source's shards hold no crops.
    """
    if not source_images(swapper):
        return None
    appearance = data / "appearance" / source / "map.json"
    device = device_of(swapper)
    found = source_views(data / "shards" / source, appearance, swapper)
    return {name: value.to(device) for name, value in found.items()}


def chooser(data: Path, facts: ModelFacts, pack: Pack) -> Choose:
    """Nearest to the target identity, where the model has one with shards; else the largest."""
    folder = data / "shards" / facts.target
    if "target" in facts.pools or not any(folder.glob("train-*.parquet")):
        return largest
    return nearest_to(gallery(folder, facts, pack))


def gallery(folder: Path, facts: ModelFacts, pack: Pack) -> Floats:
    """Embeddings (G,D), unit vectors, of some crops in the shards of `folder`.

    Raises:
        ModelError: they hold no crops.
    """
    crops = open_crops(folder, ("landmarks_5",), facts.crop_size_px, 1.0)
    chosen = views(crops, REFERENCES)
    pictures, points = as_pixels(chosen["crop"]).numpy(), chosen["landmarks_5"].numpy()
    found = np.concatenate(
        [
            pack.embedder.embed(picture, five[None])
            for picture, five in zip(pictures, points, strict=True)
        ]
    )
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(norms, 1e-12), np.float32)
