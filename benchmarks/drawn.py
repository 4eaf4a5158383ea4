"""Data sets drawn by code: as costly to decode, to learn and to swap as faces are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import encode_jpeg
from models import tensorfile
from models.layers.mesh_topology import canonical_vertices
from models.layers.mobilefacenet import MobileFaceNet
from models.training.frozen import FACTS_FILE, WEIGHTS_FILE

CROPS, CROP_PX, MASK_PX = 96, 256, 64
FIVE = ((0.38, 0.45), (0.62, 0.45), (0.5, 0.6), (0.4, 0.72), (0.6, 0.72))
"""landmarks_5 as shares of the side."""
FACE_HEIGHT = 0.62
"""Of the mesh, as a share of the side."""


def draw_pictures(seed: int, variety: float = 0.5) -> np.ndarray:
    """uint8 (CROPS,CROP_PX,CROP_PX,3): smooth random pictures that share most of their pattern."""
    random = torch.Generator().manual_seed(seed)
    common = torch.rand((1, 3, 6, 6), generator=random)
    own = torch.rand((CROPS, 3, 12, 12), generator=random)
    coarse = common.repeat_interleave(2, 2).repeat_interleave(2, 3) + variety * (own - 0.5)
    pictures = functional.interpolate(coarse, size=(CROP_PX, CROP_PX), mode="bicubic")
    pixels = (pictures.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return np.asarray(pixels.numpy())


def draw_meshes() -> np.ndarray:
    """float32 (CROPS,468*3) in px: the canonical mesh in the middle, turned by up to 0.3 rad."""
    vertices = canonical_vertices().numpy().astype(np.float64)
    vertices *= FACE_HEIGHT * CROP_PX / np.ptp(vertices[:, 1])
    x, y, z = (vertices - vertices.mean(axis=0)).T
    yaw = np.linspace(-0.3, 0.3, CROPS)[:, None]
    turned = (x * np.cos(yaw) - z * np.sin(yaw), y + 0 * yaw, x * np.sin(yaw) + z * np.cos(yaw))
    centre = np.array([CROP_PX / 2, CROP_PX / 2, 0])
    return (np.stack(turned, axis=-1) + centre).reshape(CROPS, -1).astype(np.float32)


def draw_shard(folder: Path, identity: str, seed: int, variety: float = 0.5) -> Path:
    """A training shard of CROPS pictures of CROP_PX with meshes; gives its folder."""
    folder.mkdir()
    lengths = {"pose_deg": 3, "affine_matrix": 6}
    numbers = {
        name: np.zeros((CROPS, lengths[name]) if name in lengths else CROPS)
        for name in SHARDS.schema.names
    }
    five = np.array(FIVE, np.float32).reshape(1, -1) * CROP_PX
    cells: dict[str, Any] = {
        **numbers,
        "sample_weight": np.ones(CROPS),
        "similarity": np.ones(CROPS),
        "sharpness": np.ones(CROPS),
        "landmarks_5": np.repeat(five, CROPS, axis=0),
        "landmarks_468": draw_meshes(),
        "clip": [identity] * CROPS,
        "crop": [encode_jpeg(picture, 95) for picture in draw_pictures(seed, variety)],
        "mask": [bytes([255]) * MASK_PX**2] * CROPS,
    }
    with Writer(SHARDS, folder / "train-00000.parquet") as writer:
        writer.add(cells)
        writer.facts.update(
            identity=identity,
            split="train",
            size_px=CROP_PX,
            mask_size_px=MASK_PX,
            template="ffhq_512",
            colour_order="RGB",
        )
    (folder / "manifest.json").write_text(json.dumps({"identity": identity}))
    return folder


def draw_recogniser(folder: Path) -> Path:
    """A recogniser with random weights: what it sees costs as much as with trained ones."""
    folder.mkdir()
    torch.manual_seed(0)
    tensorfile.write(folder / WEIGHTS_FILE, MobileFaceNet().state_dict())
    (folder / FACTS_FILE).write_text(json.dumps({"name": "drawn", "sha256": "0" * 64}))
    return folder
