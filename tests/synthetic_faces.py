"""Small tables of frames, detections and crops for tests of filter, align, roster and shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.detections import DETECTIONS
from likeness.contracts.tables.frames import FRAMES
from likeness.media.images import encode_jpeg

DIM = 128
SIZE_PX, MASK_PX = 64, 32
CONSENT = """\
consent: {consent}
identity: {identity}
roles: [{roles}]
basis: test
use: test
training: {training}
{more}"""


def write_clip(
    root: Path, clip: str, identity: str = "ann", role: str = "source", consent: str = "ann-2024"
) -> Path:
    """data/clips/<clip>/clip.yaml below `root`; returns its path."""
    path = root / "data/clips" / clip / "clip.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"clip: {clip}\nidentity: {identity}\nrole: {role}\nconsent: {consent}\n"
        "licence: test\nfootage: footage.mp4\n"
    )
    return path


def write_consent(
    root: Path,
    *,
    consent: str = "ann-2024",
    identity: str = "ann",
    roles: str = "source, target",
    training: str = "true",
    more: str = "",
) -> Path:
    """data/consents/<consent>.yaml below `root`; returns its path."""
    path = root / "data/consents" / f"{consent}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        CONSENT.format(
            consent=consent, identity=identity, roles=roles, training=training, more=more
        )
    )
    return path


def write_identity(root: Path, identity: str = "ann", consent: str = "ann-2024") -> Path:
    """data/identities/<identity>/identity.yaml below `root`; returns its path."""
    path = root / "data/identities" / identity.replace("/", "-") / "identity.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"identity: {identity}\nconsent: {consent}\n")
    return path


def write_frames(path: Path, frames: int, rate: int = 25, cuts: tuple[int, ...] = ()) -> Path:
    """frames.parquet of `frames` frames at `rate` per second, with a cut before each of `cuts`."""
    index = np.arange(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(FRAMES, path) as writer:
        writer.add(
            {
                "frame_index": index.astype(np.int32),
                "pts": index.astype(np.int64),
                "pts_s": index / rate,
                "shot_index": np.searchsorted(cuts, index, side="right").astype(np.int32),
                "sharpness": np.full(frames, 50, np.float32),
                "perceptual_hash": index.astype(np.uint64),
                "duplicate_of": [None] * frames,
                "decoded": np.ones(frames, np.bool_),
            }
        )
        writer.facts.update(
            dict.fromkeys(FRAMES.facts, 0), frames=frames, width_px=640, height_px=360
        )
    return path


def direction(person: int) -> npt.NDArray[np.float32]:
    """Embedding of a made-up person; different people are at right angles."""
    vector = np.zeros(DIM, np.float32)
    vector[person] = 1.0
    return vector


def seen(person: int, seed: int, blur: float = 0.3) -> npt.NDArray[np.float32]:
    """Embedding of that person in one picture: a unit vector near `direction`."""
    noise = np.random.default_rng(seed).normal(size=DIM) * blur / DIM**0.5
    vector = direction(person) + noise
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def detection(frame: int, person: int, x: float, **changes: Any) -> dict[str, Any]:
    """One face of 80 px at (x, 100) in a frame."""
    bbox = np.array([x, 100, x + 80, 180], np.float32)
    return {
        "frame_index": frame,
        "bbox": bbox,
        "det_score": 0.95,
        "landmarks_5": np.array([20, 30, 60, 30, 40, 45, 25, 60, 55, 60]) + np.tile(bbox[:2], 5),
        "normed_embedding": seen(person, 1000 * person + frame),
        "embedding_norm": 8.0,
        "sharpness": 100.0,
        "followed": False,
        "embedding_interpolated": False,
        "mesh_agrees": True,
    } | changes


def write_detections(path: Path, rows: list[dict[str, Any]], frames: int) -> Path:
    """detections.parquet of the given rows, numbered within their frame."""
    counts: dict[int, int] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = sorted(rows, key=lambda row: row["frame_index"])
    for row in rows:
        row["detection_index"] = counts.get(row["frame_index"], 0)
        counts[row["frame_index"]] = row["detection_index"] + 1
    with Writer(DETECTIONS, path) as writer:
        if rows:
            writer.add({name: [row[name] for row in rows] for name in DETECTIONS.schema.names})
        writer.facts.update(
            clip="walk",
            pack="embedded",
            embedding_dim=DIM,
            frames=frames,
            detector_frames=frames,
            embeddings_measured=len(rows),
        )
    return path


def mesh_of(yaw_deg: float, pitch_deg: float, smile: float, canonical: Any) -> Any:
    """Mesh (468,3) in crop px of the canonical face, turned, with the lips moved by `smile`."""
    from likeness.vision.mesh import LIPS_INNER, LIPS_OUTER
    from likeness.vision.pose import rotation_from_pose

    points = np.asarray(canonical, np.float64) * [1, -1, -1]
    points[list(LIPS_INNER + LIPS_OUTER), 1] += smile
    turned = points @ rotation_from_pose([yaw_deg, pitch_deg, 0]).T
    return (turned * 2.2 + [SIZE_PX / 2, SIZE_PX / 2, 0]).astype(np.float32)


def crop_rows(poses: list[tuple[float, float]], canonical: Any, **columns: Any) -> dict[str, Any]:
    """Columns of a crops table, one row per (yaw, pitch), 25 frames per second."""
    count = len(poses)
    grey = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)
    smiles = columns.pop("smile", np.zeros(count))
    rows = {
        "frame_index": np.arange(count, dtype=np.int32),
        "pts_s": np.arange(count) / 25,
        "shot_index": np.zeros(count, np.int32),
        "track_index": np.zeros(count, np.int32),
        "crop": [encode_jpeg(grey)] * count,
        "mask": [bytes(MASK_PX**2)] * count,
        "affine_matrix": np.tile([1.0, 0, 0, 0, 1, 0], (count, 1)),
        "landmarks_5": np.zeros((count, 10), np.float32),
        "landmarks_468": np.array(
            [mesh_of(*pose, s, canonical) for pose, s in zip(poses, smiles, strict=True)]
        ).reshape(count, 1404),
        "pose_deg": np.array([(*pose, 0) for pose in poses], np.float32).reshape(count, 3),
        "similarity": np.full(count, 0.8, np.float32),
        "sharpness": np.arange(count, dtype=np.float32) + 10,
        "mesh_error": np.full(count, 0.05, np.float32),
    }
    return rows | columns


def write_crops(path: Path, rows: dict[str, Any], **facts: Any) -> Path:
    """A crops table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(CROPS, path) as writer:
        writer.add(rows)
        writer.facts.update(
            clip=path.stem,
            identity=path.parent.name,
            template="ffhq_512",
            size_px=SIZE_PX,
            mask_size_px=MASK_PX,
            colour_order="RGB",
            jpeg_quality=90,
            pack="embedded",
        )
        writer.facts.update(facts)
    return path
