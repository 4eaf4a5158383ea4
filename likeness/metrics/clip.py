"""What is known of a clip and its swapped faces before and while its frames are decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
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
from likeness.metrics.face import FaceRow

Values = npt.NDArray[np.float64]
KEYS = ("frame_index", "track_index")
AFFINE = {"affine_matrix": (2, 3)}
POINTS = {**AFFINE, "landmarks_5": (5, 2), "landmarks_468": (468, 3), "pose_deg": (3,)}
BATCH = 64


@dataclass(frozen=True)
class Clip:
    """What is known of every frame before one is decoded.

    Attributes:
        pts_s, shots: (T,) of all frames.
        tracks: (T,) of the face to measure, -1 where there is none.
        faces: (T,) number of faces.
        measure: (T,) sampling.NOTHING, MOTION, FACE or ALL.
        judged: (T,) whether the second embedder looks too, at some of ALL.
        pasted: (T,) whether the pasted source is measured too, at some of ALL.
        runs: (K,) middle frames of the runs of three on which baselines are measured.
    """

    pts_s: Values
    shots: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    faces: npt.NDArray[np.int64]
    measure: npt.NDArray[np.int64]
    judged: npt.NDArray[np.bool_]
    pasted: npt.NDArray[np.bool_]
    runs: npt.NDArray[np.int64]


def plan(frames: Path, converted: Path, most: int, judged: int, baselines: int) -> Clip:
    """Choose the face of each frame (the largest) and the frames that the networks see.

    Args:
        frames: frames.parquet of the target clip.
        converted: the swap's converted.parquet.
        most: frames that networks see.
        judged: of them, frames that the second embedder sees too.
        baselines: frames on which baselines are measured, in runs of three.
    """
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
    measure = np.full(len(shots), sampling.NOTHING)
    lines = (with_face, shots[with_face], tracks[with_face])
    measure[with_face] = sampling.runs(*lines, most)
    runs = with_face[sampling.triples(measure[with_face], *lines, baselines // len(sampling.RUN))]
    if not len(with_face):
        measure[sampling.evenly(len(shots), most)] = sampling.ALL
    pasted = (measure == sampling.ALL) & bool((measure[with_face] == sampling.ALL).all())
    pasted[runs] = True
    judge = _judged(measure, runs, judged)
    return Clip(as_numpy(table["pts_s"]), shots, tracks, faces, measure, judge, pasted, runs)


def _judged(
    measure: npt.NDArray[np.int64], runs: npt.NDArray[np.int64], wanted: int
) -> npt.NDArray[np.bool_]:
    """Frames for the second embedder: evenly spaced ones, and those where baselines are measured.

    So a baseline is compared with the swap on frames that both were judged on.
    """
    seen = np.zeros(len(measure), np.bool_)
    seen[runs[sampling.evenly(len(runs), wanted)]] = True
    rest = np.flatnonzero((measure == sampling.ALL) & ~seen)
    seen[rest[sampling.evenly(len(rest), max(wanted - int(seen.sum()), 0))]] = True
    return seen


def face_rows(crops: Path, converted: Path, clip: Clip) -> Iterator[list[FaceRow]]:
    """Faces of every frame in order, the one to measure first.

    Raises:
        TableError: the two tables are not of the same faces.
    """
    facts = CONVERTED.check(converted)
    sizes = (facts["size_px"], facts["mask_size_px"])
    where = by_key(CROPS.batches(crops, [*KEYS, *POINTS], BATCH), POINTS)
    what = by_key(CONVERTED.batches(converted, [*KEYS, "mask", *AFFINE], BATCH), AFFINE)
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


def by_key(
    batches: Iterator[pa.RecordBatch], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Rows as ((frame_index, track_index), cells), the columns in `shapes` as float64 arrays."""
    for batch in batches:
        keys = [batch[name].to_pylist() for name in KEYS]
        arrays = {n: as_numpy(batch[n], shape).astype(np.float64) for n, shape in shapes.items()}
        for row, (frame, track) in enumerate(zip(*keys, strict=True)):
            cells: dict[str, Any] = {name: array[row] for name, array in arrays.items()}
            if "mask" in batch.schema.names:
                cells["mask"] = batch["mask"][row].as_py()
            yield (frame, track), cells


def face_row(
    shot: int, track: int, aligned: dict[str, Any], swapped: dict[str, Any], sizes: tuple[int, int]
) -> FaceRow:
    """A face from its rows in crops and converted.parquet; `sizes`: crop and mask of the swap."""
    size_px, mask_px = sizes
    return FaceRow(
        shot_index=shot,
        track_index=track,
        aligned=aligned["affine_matrix"],
        landmarks_5=aligned["landmarks_5"],
        landmarks_468=aligned["landmarks_468"],
        pose_deg=aligned["pose_deg"],
        mask=np.frombuffer(swapped["mask"], np.uint8).reshape(mask_px, mask_px),
        to_mask=views.mask_affine(swapped["affine_matrix"], size_px, mask_px),
    )
