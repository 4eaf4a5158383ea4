"""Every face of a clip with its box, five points and identity embedding.

In: the analyser pack, the footage, frames.parquet. Out: detections.parquet, one row per face, by
frame, best score first.

The detector sees every `detect_every_frames`-th frame of a shot as a whole, and the shot's last.
In between each known face is looked at in a window of its own as often as an embedding is wanted,
its mesh is followed where it moves, and the first and last frames of faces that come and go are
found by bisection (models.analysers.follow). With `detect_every_frames: 1` every frame is scanned.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likeness.contracts import environment
from likeness.contracts.errors import FootageError
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params.detect import DetectParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.detections import DETECTIONS
from likeness.contracts.tables.frames import FRAMES
from likeness.media.footage import Footage, open_footage
from models.analysers.observer import Observer
from models.analysers.pack import load_pack
from models.analysers.sweep import Found, find_faces, scanned_frames
from models.analysers.view import View

Floats = npt.NDArray[np.float32]


def rows_of(found: Found) -> dict[str, Any] | None:
    """Columns of detections.parquet, or None if there is no face."""
    faces = [face for one in found.faces for face in one]
    if not faces:
        return None
    counts = [len(one) for one in found.faces]
    return {
        "frame_index": np.repeat(found.frame_index, counts),
        "detection_index": np.concatenate([np.arange(count) for count in counts]),
        "bbox": np.stack([face.bbox for face in faces]),
        "det_score": np.array([face.det_score for face in faces], np.float32),
        "landmarks_5": np.stack([face.landmarks_5 for face in faces]),
        "normed_embedding": _lists(np.stack([face.embedding for face in faces])),
        "embedding_norm": np.array([face.embedding_norm for face in faces], np.float32),
        "sharpness": np.array([v for one in found.sharpness for v in one], np.float32),
        "followed": np.array([face.followed for face in faces]),
        "embedding_interpolated": np.array([face.interpolated for face in faces]),
        "mesh_agrees": np.array([face.mesh_agrees for face in faces]),
    }


def _lists(vectors: Floats) -> pa.ListArray:
    count, length = vectors.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * length)
    return pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))


def views_of(footage: Footage, wanted: npt.NDArray[np.int32]) -> Iterator[tuple[int, View]]:
    """Views of the frames that frames.parquet calls decodable.

    Raises:
        FootageError: one of them is missing, so that the footage is not the one described.
    """
    names = ("colour_space", "colour_range", "sample_aspect_ratio")
    space, colour_range, aspect = (footage.facts[name] for name in names)
    seen = 0
    for frame in footage.frames(wanted.tolist()):
        if not frame.decoded:
            problem = f"frame {frame.frame_index} cannot be decoded, though frames.parquet says so"
            raise FootageError(footage.path, problem, "run `dvc repro` again")
        seen += 1
        yield frame.frame_index, View(frame.planes(), space, colour_range, aspect)
    if seen < len(wanted):
        problem = f"holds {len(wanted) - seen} frames less than frames.parquet says"
        raise FootageError(footage.path, problem, "run `dvc repro` again")


def detect(
    footage_path: Path, table: pa.Table, observer: Observer, params: DetectParams
) -> Iterator[Found]:
    """Faces of a clip, in order, in pieces.

    Args:
        footage_path: the footage.
        table: columns frame_index, shot_index, decoded of frames.parquet.
        observer: runs the networks of a pack.
        params: how often.
    """
    decoded = as_numpy(table["decoded"]).astype(np.bool_)
    wanted = as_numpy(table["frame_index"])[decoded]
    shots = as_numpy(table["shot_index"])[decoded]
    chosen = scanned_frames(shots, params.detect_every_frames)
    scanned = dict(zip(wanted[chosen].tolist(), shots[chosen].tolist(), strict=True))
    before = cv2.getNumThreads()
    # The pool's threads are the parallelism; OpenCV's own would compete with them.
    cv2.setNumThreads(1)
    try:
        # Half the threads decode, since the networks run beside.
        decoders = max(environment.threads() // 2, 1)
        with open_footage(footage_path, decoders, draft=True) as footage:
            views = views_of(footage, wanted)
            yield from find_faces(views, scanned, observer, params.embed_every_frames)
    finally:
        cv2.setNumThreads(before)


def run(context: Context[DetectParams]) -> None:
    """Detect on the clip's footage and write the table."""
    keep_freed_memory()
    pack = load_pack(context.inputs["pack"])
    columns = ["frame_index", "shot_index", "decoded"]
    table = FRAMES.read(context.inputs["frames"], columns)
    observer = Observer(pack, context.params.min_det_score)
    pieces = detect(context.inputs["footage"], table, observer, context.params)
    with (
        Writer(DETECTIONS, context.outputs["detections"]) as writer,
        context.progress("detect", table.num_rows) as advance,
    ):
        for found in pieces:
            rows = rows_of(found)
            if rows is not None:
                writer.add(rows)
            advance(len(found.frame_index))
        writer.facts.update(
            clip=context.facts["frames"]["clip"],
            pack=pack.name,
            embedding_dim=pack.embedding_dim,
            frames=table.num_rows,
            detector_frames=observer.counts.scans,
            embeddings_measured=observer.counts.embeddings,
        )
    counts = observer.counts
    context.say(
        f"detect: {writer.rows} faces on {table.num_rows} frames; {counts.scans} scans, "
        f"{counts.looks} looks, {counts.meshes} meshes, {counts.embeddings} embeddings"
    )


STAGE = Stage(
    name="detect",
    params=DetectParams,
    inputs={"pack": None, "footage": None, "frames": FRAMES},
    outputs={"detections": DETECTIONS},
    run=run,
    description="every face with box, points and embedding",
)

if __name__ == "__main__":
    STAGE.main()
