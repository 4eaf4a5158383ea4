"""What is known of a clip and its swapped faces before and while its frames are decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likeness.contracts.errors import TableError
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.frames import FRAMES
from likeness.metrics import sampling, views
from likeness.metrics.stream import FaceRow

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """What is known of every frame before one is decoded.

    Attributes:
        pts_s, shots: (T,) of all frames.
        tracks: (T,) of the face to measure, -1 where there is none.
        faces: (T,) number of faces.
        sampled: (T,) whether the networks look at it.
    """

    pts_s: Values
    shots: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    faces: npt.NDArray[np.int64]
    sampled: npt.NDArray[np.bool_]


def plan(frames: Path, converted: Path, most: int) -> Clip:
    """Choose the face of each frame (the largest) and the frames that the networks see."""
    table = FRAMES.read(frames, ["pts_s", "shot_index"])
    rows = CONVERTED.read(converted, ["frame_index", "track_index", "affine_matrix"])
    shots = as_numpy(table["shot_index"]).astype(np.int64)
    tracks, faces = np.full(len(shots), -1), np.zeros(len(shots), np.int64)
    largest = np.full(len(shots), np.inf)
    linear = as_numpy(rows["affine_matrix"], (2, 3))[:, :, :2]
    scales = np.sqrt(np.abs(np.linalg.det(linear)))
    keys = zip(as_numpy(rows["frame_index"]), as_numpy(rows["track_index"]), scales, strict=True)
    for frame, track, scale in keys:
        faces[frame] += 1
        if scale < largest[frame]:
            largest[frame], tracks[frame] = scale, track
    with_face = np.flatnonzero(faces)
    sampled = np.zeros(len(shots), bool)
    sampled[with_face] = sampling.runs(with_face, shots[with_face], tracks[with_face], most)
    if not len(with_face):
        sampled[sampling.evenly(len(shots), most)] = True
    return Clip(as_numpy(table["pts_s"]), shots, tracks, faces, sampled)


def face_rows(crops: Path, converted: Path, clip: Clip) -> Iterator[list[FaceRow]]:
    """Faces of every frame in order, the one to measure first.

    Raises:
        TableError: the two tables are not of the same faces.
    """
    facts = CONVERTED.check(converted)
    sizes = (facts["size_px"], facts["mask_size_px"])
    columns = ["affine_matrix", "landmarks_5", "landmarks_468", "pose_deg"]
    where = by_key(CROPS.batches(crops, ["frame_index", "track_index", *columns], 64))
    what = by_key(
        CONVERTED.batches(converted, ["frame_index", "track_index", "mask", "affine_matrix"], 64)
    )
    pairs = itertools.zip_longest(where, what)
    waiting = next(pairs, None)
    for index in range(len(clip.shots)):
        faces: list[FaceRow] = []
        while waiting is not None:
            aligned, swapped = waiting
            if aligned is None or swapped is None or aligned[0] != swapped[0]:
                raise TableError(converted, f"does not match {crops}", "run `dvc repro`")
            (frame, track), row = aligned
            if frame != index:
                break
            faces.append(face_row(int(clip.shots[index]), track, row, swapped[1], sizes))
            waiting = next(pairs, None)
        yield sorted(faces, key=lambda face: face.track_index != clip.tracks[index])


def by_key(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Rows as ((frame_index, track_index), cells)."""
    for batch in batches:
        for row in batch.to_pylist():
            yield (row["frame_index"], row["track_index"]), row


def face_row(
    shot: int, track: int, aligned: dict[str, Any], swapped: dict[str, Any], sizes: tuple[int, int]
) -> FaceRow:
    """A face from its rows in crops and converted.parquet; `sizes`: crop and mask of the swap."""
    size_px, mask_px = sizes
    affine = np.array(swapped["affine_matrix"], np.float64).reshape(2, 3)
    return FaceRow(
        shot_index=shot,
        track_index=track,
        aligned=np.array(aligned["affine_matrix"], np.float64).reshape(2, 3),
        landmarks_5=np.array(aligned["landmarks_5"], np.float64).reshape(5, 2),
        landmarks_468=np.array(aligned["landmarks_468"], np.float64).reshape(468, 3),
        pose_deg=np.array(aligned["pose_deg"], np.float64),
        mask=np.frombuffer(swapped["mask"], np.uint8).reshape(mask_px, mask_px),
        to_mask=views.mask_affine(affine, size_px, mask_px),
    )
