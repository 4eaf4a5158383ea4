"""Data sets of drawn faces: an oval with eyes and mouth that turns, in colours of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import encode_jpeg
from models import tensorfile
from models.layers.mesh_topology import canonical_vertices
from models.layers.mobilefacenet import MobileFaceNet
from models.layers.vgg import select
from models.training.frozen import CHOICE_FILE, FACTS_FILE, WEIGHTS_FILE
from models.training.identities import POOL_FILE
from tests.synthetic_vgg import state_dict

SIZE_PX, MASK_PX = 128, 64


def draw_face(yaw: float, colours: np.ndarray, size_px: int = SIZE_PX) -> np.ndarray:
    """uint8 (S,S,3): colours (3,3) of ground, skin and features; `yaw` in [-1,1]."""
    rows, columns = np.mgrid[0:size_px, 0:size_px] / (size_px / 2) - 1
    picture = np.empty((size_px, size_px, 3))
    picture[:] = colours[0]
    picture[(columns / 0.6) ** 2 + (rows / 0.8) ** 2 < 1] = colours[1]
    for x, y, wide in ((-0.22, -0.2, 0.1), (0.22, -0.2, 0.1), (0.0, 0.35, 0.25)):
        spot = ((columns - x - 0.2 * yaw) / wide) ** 2 + ((rows - y) / 0.08) ** 2 < 1
        picture[spot] = colours[2]
    return picture.round().astype(np.uint8)


def drawn_mesh(yaw: np.ndarray, size_px: int = SIZE_PX) -> np.ndarray:
    """float32 (N,468,3), px: the canonical mesh over the oval, turned by `yaw` x 0.35 rad."""
    vertices = canonical_vertices().numpy() * (0.3 * size_px / 7.7)
    x, y, z = (vertices - vertices.mean(axis=0)).T
    angle = 0.35 * yaw[:, None]
    turned = (
        x * np.cos(angle) - z * np.sin(angle),
        y + 0 * angle,
        x * np.sin(angle) + z * np.cos(angle),
    )
    centre = np.array([size_px / 2, size_px / 2, 0])
    return (np.stack(turned, axis=-1) + centre).astype(np.float32)


def write_shards(
    folder: Path, identity: str, count: int, *, seed: int = 0, split: str = "train", clips: int = 1
) -> Path:
    """Write one shard of `count` crops of `clips` clips and its manifest; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    colours = random.uniform(30, 220, (3, 3))
    yaw = np.linspace(-1, 1, count) if count else np.zeros(0)
    crops = [encode_jpeg(draw_face(y, colours), 95) for y in yaw]
    mask = np.full((MASK_PX, MASK_PX), 255, np.uint8).tobytes()
    index = np.arange(count)
    rows = {
        "clip": [f"drawn-{index * clips // max(count, 1)}" for index in range(count)],
        "frame_index": index,
        "pts_s": index / 25.0,
        "shot_index": index * 0,
        "track_index": index * 0,
        "crop": crops,
        "mask": [mask] * count,
        "affine_matrix": np.tile(np.eye(2, 3).reshape(-1), (count, 1)),
        "landmarks_5": random.uniform(40, 90, (count, 10)).astype(np.float32),
        "landmarks_468": drawn_mesh(yaw).reshape(count, 1404),
        "pose_deg": np.stack([yaw * 40, yaw * 0, yaw * 0], axis=1).astype(np.float32),
        "similarity": np.full(count, 0.8, np.float32),
        "sharpness": np.full(count, 100, np.float32),
        "mesh_error": np.full(count, 0.02, np.float32),
        "sample_weight": random.uniform(0.5, 1.5, count).astype(np.float32),
    }
    with Writer(SHARDS, folder / f"{split}-00000.parquet") as writer:
        writer.add(rows)
        writer.facts.update(
            identity=identity,
            split=split,
            size_px=SIZE_PX,
            mask_size_px=MASK_PX,
            template="ffhq_512",
            colour_order="RGB",
        )
    (folder / "manifest.json").write_text(json.dumps({"identity": identity, "pack": "drawn"}))
    return folder


def write_pool(
    folder: Path, name: str, counts: dict[str, int], held_out: tuple[str, ...] = (), clips: int = 2
) -> Path:
    """Write shards of several identities and their pool; gives the pool's folder."""
    for seed, (identity, count) in enumerate(counts.items()):
        write_shards(folder / identity, identity, count, seed=seed, clips=clips)
    members = [{"identity": i, "held_out": i in held_out} for i in sorted(counts)]
    (folder / name).mkdir()
    (folder / name / POOL_FILE).write_text(json.dumps({"pool": name, "members": members}))
    return folder / name


def write_recogniser(folder: Path) -> Path:
    """A recogniser with random weights, as stage `pack` writes the trained one."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    tensorfile.write(folder / WEIGHTS_FILE, MobileFaceNet().state_dict())
    (folder / FACTS_FILE).write_text(json.dumps({"name": "drawn", "sha256": "0" * 64}))
    return folder


def write_perceptual(folder: Path, given: str | None) -> Path:
    """What stage `perceptual` writes: a narrow VGG-19 for that input, or None for `embedded`."""
    folder.mkdir(exist_ok=True)
    facts: dict[str, object] = {"network": "embedded"}
    if given is not None:
        tensorfile.write(folder / "vgg19.safetensors", select(state_dict()))
        facts = {"network": "vgg19", "name": "vgg19", "file": "vgg19.safetensors"}
        facts |= {"sha256": "1" * 64, "licence": None, "input": given}
    (folder / CHOICE_FILE).write_text(json.dumps(facts))
    return folder
