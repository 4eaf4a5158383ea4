"""What is known of a clip and its swapped faces before and while its frames are decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
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
from likeness.evaluation import sampling, views
from likeness.evaluation.face import FaceRow
from likeness.metrics import spacing
from likeness.vision.tracks import leading

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer]
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
        runs: (K,) middle frames of the runs of three on which baselines are measured whole.
    """

    pts_s: Values
    shots: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    faces: npt.NDArray[np.int64]
    measure: npt.NDArray[np.int64]
    judged: npt.NDArray[np.bool_]
    pasted: npt.NDArray[np.bool_]
    runs: Indices


@dataclass(frozen=True)
class Faces:
    """The face of each frame that is measured: of several that of the larger track.

    Attributes:
        pts_s, shots: (T,) of all frames.
        tracks: (T,) of that face, -1 where there is none.
        counts: (T,) number of faces.
    """

    pts_s: Values
    shots: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @property
    def frames(self) -> npt.NDArray[np.int64]:
        """Those with a face."""
        return np.flatnonzero(self.counts)

    @property
    def lines(self) -> tuple[Indices, Indices, Indices]:
        """Frame, shot and track of each, as `sampling` wants them."""
        return self.frames, self.shots[self.frames], self.tracks[self.frames]

    def together(self, frames: Sequence[int]) -> bool:
        """Whether all of some frames show one face of one shot."""
        if min(frames) < 0 or max(frames) >= len(self.counts):
            return False
        lines = {(int(self.shots[frame]), int(self.tracks[frame])) for frame in frames}
        return len(lines) == 1 and all(self.counts[frame] > 0 for frame in frames)


def read_faces(frames: Path, crops: Path) -> Faces:
    """The face to measure in each frame of a target.

    Args:
        frames: frames.parquet of the clip.
        crops: align's crops of it, one for each face of a swap.
    """
    table = FRAMES.read(frames, ["pts_s", "shot_index"])
    rows = CROPS.read(crops, ["frame_index", "track_index", "affine_matrix"])
    shots = as_numpy(table["shot_index"]).astype(np.int64)
    tracks, counts = np.full(len(shots), -1), np.zeros(len(shots), np.int64)
    linear = as_numpy(rows["affine_matrix"], (2, 3))[:, :, :2]
    sizes = 1 / np.sqrt(np.abs(np.linalg.det(linear)))
    index, track = as_numpy(rows["frame_index"]), as_numpy(rows["track_index"])
    np.add.at(counts, index, 1)
    chosen = leading(index, track, sizes)
    tracks[index[chosen]] = track[chosen]
    return Faces(as_numpy(table["pts_s"]), shots, tracks, counts)


def beside(faces: Faces, most: int, runs: int) -> tuple[Indices, Indices]:
    """Frames for baselines: single ones, and the middles of runs of three, both ascending.

    They are those that `plan` chooses for the swap itself, as long as `most` is the same.

    Args:
        faces: of the target.
        most: frames in all, runs' neighbours not counted.
        runs: at most.
    """
    measure = sampling.runs(*faces.lines, most)
    middles = faces.frames[sampling.triples(measure, *faces.lines, runs)]
    seen = faces.frames[measure >= sampling.FACE]
    singles = seen[spacing.evenly(len(seen), most)]
    return np.setdiff1d(singles, middles), middles


def plan(faces: Faces, most: int, judged: int, singles: Indices, middles: Indices) -> Clip:
    """Choose the frames that the networks see.

    Args:
        faces: of the target.
        most: frames that networks see.
        judged: of them, frames that the second embedder sees too.
        singles: frames of which there are baselines, to be recognised.
        middles: of runs of three of which there are baselines, to be measured whole.
    """
    measure, with_face = np.full(len(faces.shots), sampling.NOTHING), faces.frames
    measure[with_face] = sampling.runs(*faces.lines, most)
    if not len(with_face):
        measure[spacing.evenly(len(measure), most)] = sampling.ALL
    measure[singles] = np.maximum(measure[singles], sampling.FACE)
    measure[middles] = sampling.ALL
    for middle in middles.tolist():
        around = [middle + step for step in sampling.RUN]
        if faces.together(around):
            lower = (sampling.NOTHING, sampling.MOTION)
            measure[around] = [
                sampling.MOTION if m in lower else sampling.ALL for m in measure[around]
            ]
    pasted = (measure == sampling.ALL) & bool((measure[with_face] == sampling.ALL).all())
    pasted[middles] = True
    judge = _judged(measure, middles, judged)
    fixed = (faces.pts_s, faces.shots, faces.tracks, faces.counts)
    return Clip(*fixed, measure, judge, pasted, middles)


def _judged(measure: npt.NDArray[np.int64], runs: Indices, wanted: int) -> npt.NDArray[np.bool_]:
    """Frames for the second embedder: evenly spaced ones, and those where baselines are measured.

    So a baseline is compared with the swap on frames that both were judged on.
    """
    seen = np.zeros(len(measure), np.bool_)
    seen[runs[spacing.evenly(len(runs), wanted)]] = True
    rest = np.flatnonzero((measure == sampling.ALL) & ~seen)
    seen[rest[spacing.evenly(len(rest), max(wanted - int(seen.sum()), 0))]] = True
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
