"""Every face of a clip with its box, five points and identity embedding.

In: the analyser pack, the footage, frames.parquet. Out: detections.parquet, one row per face, by
frame, best score first.

The detector sees every `detect_every_frames`-th frame of a shot as a whole, and the shot's last.
In between each known face is looked at in a window of its own as often as an embedding is wanted,
its mesh is followed where it moves, and the first and last frames of faces that come and go are
found by bisection (models.analysers.follow). With `detect_every_frames: 1` every frame is scanned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from likeness.contracts import environment
from likeness.contracts.documents import Document
from likeness.contracts.errors import FootageError
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.detections import DETECTIONS
from likeness.contracts.tables.frames import FRAMES
from likeness.media.footage import Footage, Frame, open_footage
from models.analysers.detector import SCORE
from models.analysers.faces import Face
from models.analysers.follow import Stretch, certain
from models.analysers.observer import FAINT, Observer
from models.analysers.pack import Pack, load_pack
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
FACE_PX = 112
"""Side to which a face's luma is brought before its sharpness is measured."""
STRETCHES_AHEAD = 2
"""Stretches in work per thread; bounds memory."""


class DetectParams(Document):
    """Section `detect` of params.yaml."""

    detect_every_frames: int = Field(
        default=8, ge=1, description="frames between two scans of the whole frame; 1: every frame"
    )
    embed_every_frames: int = Field(
        default=4, ge=1, description="frames between two measured embeddings of a face, at most"
    )


def scanned_frames(shot_index: npt.NDArray[np.int32], every: int) -> npt.NDArray[np.bool_]:
    """Which frames (N,) are seen as a whole: each `every`-th of a shot, its first and its last."""
    count = len(shot_index)
    if not count:
        return np.zeros(0, np.bool_)
    cut = np.flatnonzero(np.diff(shot_index)) + 1
    chosen = np.zeros(count, np.bool_)
    for start, stop in zip([0, *cut], [*cut, count], strict=True):
        chosen[start:stop:every] = True
        chosen[stop - 1] = True
    return chosen


def face_sharpness(luma: npt.NDArray[np.uint8], bbox: Floats) -> float:
    """Variance of the Laplacian of the face's luma, resampled to 112 px; 0 beside the frame."""
    height, width = luma.shape
    x0, y0 = max(int(bbox[0]), 0), max(int(bbox[1]), 0)
    x1, y1 = min(int(bbox[2]) + 1, width), min(int(bbox[3]) + 1, height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return 0.0
    small = cv2.resize(luma[y0:y1, x0:x1], (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA)
    deviation = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))[1]
    return float(deviation[0, 0] ** 2)


@dataclass
class Found:
    """Faces of some frames, in order, ready for the table."""

    frame_index: list[int] = field(default_factory=list)
    faces: list[list[Face]] = field(default_factory=list)
    sharpness: list[list[float]] = field(default_factory=list)

    def add(self, frame_index: int, faces: list[Face], view: View) -> None:
        """Append one frame."""
        self.frame_index.append(frame_index)
        self.faces.append(faces)
        self.sharpness.append([face_sharpness(view.luma, face.bbox) for face in faces])


@dataclass
class _Open:
    """A stretch that begins with a scanned frame and grows until the next one."""

    scan: Future[list[Face]]
    views: list[View]
    frame_index: list[int]
    next_scan: Future[list[Face]] | None = None


def _work(stretch: _Open, observer: Observer, sample_every: int) -> Found:
    """Faces of all frames of a stretch but the last; of a single frame its own."""
    first, found = stretch.scan.result(), Found()
    if stretch.next_scan is None:
        per_frame = [certain(first)]
    else:
        filler = Stretch(observer, stretch.views, stretch.frame_index, sample_every)
        per_frame = filler.fill(first, stretch.next_scan.result())
    for index, faces in enumerate(per_frame):
        found.add(stretch.frame_index[index], faces, stretch.views[index])
    return found


def _stretches(
    frames: Iterable[tuple[int, View]],
    scanned: dict[int, int],
    observer: Observer,
    pool: ThreadPoolExecutor,
) -> Iterator[_Open]:
    """Group frames into stretches, scanning their ends on the way.

    Args:
        scanned: frame index -> shot index of the frames to scan.
    """
    running: _Open | None = None
    shot = -1
    for frame_index, view in frames:
        if running is not None:
            running.views.append(view)
            running.frame_index.append(frame_index)
        if frame_index not in scanned:
            continue
        scan = pool.submit(observer.scan, view)
        if running is not None and scanned[frame_index] == shot:
            running.next_scan = scan
        if running is not None:
            yield running
        running, shot = _Open(scan, [view], [frame_index]), scanned[frame_index]
    if running is not None:
        yield running


def find_faces(
    frames: Iterable[tuple[int, View]],
    scanned: dict[int, int],
    observer: Observer,
    sample_every: int,
) -> Iterator[Found]:
    """Faces of all frames, in order, in pieces; on as many threads as the environment allows.

    Args:
        frames: (frame index, view), ascending.
        scanned: frame index -> shot index of the frames that are scanned as a whole; holds the
            first and last of every shot.
        observer: runs the networks.
        sample_every: frames between two measured embeddings of a face, at most.
    """
    threads = environment.threads()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[_Open] = deque()
        working: deque[Future[Found]] = deque()
        for stretch in _stretches(frames, scanned, observer, pool):
            # One stretch later, so that no thread waits for a scan that has just begun.
            waiting.append(stretch)
            if len(waiting) > 1:
                working.append(pool.submit(_work, waiting.popleft(), observer, sample_every))
            while len(working) > STRETCHES_AHEAD * threads:
                yield working.popleft().result()
        working.extend(pool.submit(_work, one, observer, sample_every) for one in waiting)
        while working:
            yield working.popleft().result()


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
    }


def _lists(vectors: Floats) -> pa.ListArray:
    count, length = vectors.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * length)
    return pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))


def views_of(
    footage: Footage, wanted: npt.NDArray[np.int32], frames: Iterable[Frame]
) -> Iterator[tuple[int, View]]:
    """Views of the frames that frames.parquet calls decodable.

    Raises:
        FootageError: one of them cannot be decoded, so that the footage is not the one described.
    """
    spaces = footage.facts["colour_space"], footage.facts["colour_range"]
    known = frozenset(wanted.tolist())
    for frame in frames:
        if frame.frame_index not in known:
            continue
        if not frame.decoded:
            problem = f"frame {frame.frame_index} cannot be decoded, but frames.parquet says so"
            raise FootageError(footage.path, problem, "run `dvc repro` again")
        yield frame.frame_index, View(frame.planes(), *spaces)


def new_observer(pack: Pack, params: DetectParams) -> Observer:
    """The pack's networks; faint faces matter only where frames lie between scans."""
    return Observer(pack, SCORE if params.detect_every_frames == 1 else FAINT)


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
        with open_footage(footage_path) as footage:
            views = views_of(footage, wanted, footage.frames())
            yield from find_faces(views, scanned, observer, params.embed_every_frames)
    finally:
        cv2.setNumThreads(before)


def run(context: Context[DetectParams]) -> None:
    """Detect on the clip's footage and write the table."""
    pack = load_pack(context.inputs["pack"])
    columns = ["frame_index", "shot_index", "decoded"]
    table = FRAMES.read(context.inputs["frames"], columns)
    observer = new_observer(pack, context.params)
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
