"""Detection, default and on every frame, beside insightface's FaceAnalysis on every frame.

Baseline: `FaceAnalysis.get` with the same pack at 640 px on every frame that OpenCV reads. Ours:
the whole of stage `detect` from footage to table rows. Both with their networks loaded; each the
best of several interleaved runs. Clips: 360p (the demo's man), 720p and upright (test material).
"""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.harness import Result, rate, seconds
from likeness.contracts.environment import shared_folder
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params.detect import DetectParams
from likeness.vision.tracks import overlaps
from models.analysers.export import write_pack
from models.analysers.fetch import fetch, fetch_pack
from models.analysers.observer import Observer
from models.analysers.pack import Pack, load_pack
from models.analysers.sweep import Found
from tasks.detect import detect, rows_of

Floats = npt.NDArray[np.float32]
FRAMES = 300
REPEATS, PASSES = 3, 3
"""Turns, and runs of each side in a row within one: the first warms up."""
MODES = {
    "detect.default": DetectParams(),
    "detect.every_frame": DetectParams(detect_every_frames=1, embed_every_frames=1),
}


@dataclass
class Frame:
    """Faces of one frame: bbox (N,4), unit embeddings (N,D), scores (N,)."""

    bbox: Floats
    embedding: Floats
    score: Floats


def clips() -> dict[str, Path]:
    """Name -> footage of those clips that are here."""
    footage = shared_folder() / "footage"
    found = {
        "360p": fetch(["man-portrait"])["man-portrait"],
        "720p": footage / "lp_s18.mp4",
        "upright": footage / "lp_s29.mp4",
    }
    for name, path in found.items():
        if not path.is_file():
            print(f"detect: no {name} clip at {path}; set LIKENESS_SHARED", flush=True)
    return {name: path for name, path in found.items() if path.is_file()}


def baseline(app: Any, path: Path) -> list[Frame]:
    """What insightface finds on the first frames."""
    reader = cv2.VideoCapture(str(path))
    frames: list[Frame] = []
    while len(frames) < FRAMES:
        read, picture = reader.read()
        if not read:
            break
        faces = app.get(picture)
        frames.append(
            Frame(
                np.array([face.bbox for face in faces], np.float32).reshape(-1, 4),
                np.array([face.normed_embedding for face in faces], np.float32),
                np.array([face.det_score for face in faces], np.float32),
            )
        )
    reader.release()
    return frames


def ours(pack: Pack, params: DetectParams, count: int) -> Callable[[Path], list[Found]]:
    """Stage `detect` on the first `count` frames, its networks loaded once."""
    observer = Observer(pack, params.min_det_score)
    table = pa.table(
        {
            "frame_index": np.arange(count, dtype=np.int32),
            "shot_index": np.zeros(count, np.int32),
            "decoded": np.ones(count, np.bool_),
        }
    )

    def work(path: Path) -> list[Found]:
        pieces = list(detect(path, table, observer, params))
        for piece in pieces:
            rows_of(piece)
        return pieces

    return work


@dataclass
class Agreement:
    """How well our faces fit the baseline's."""

    recall: float
    overlap: float
    cosine: float

    @classmethod
    def of(cls, pieces: list[Found], frames: list[Frame]) -> Agreement:
        """Every face of the baseline against the face of ours that overlaps it most."""
        by_frame = {
            index: faces
            for piece in pieces
            for index, faces in zip(piece.frame_index, piece.faces, strict=True)
        }
        shares, cosines = [], []
        for index, frame in enumerate(frames):
            faces = by_frame[index]
            for bbox, embedding in zip(frame.bbox, frame.embedding, strict=True):
                boxes = np.array([face.bbox for face in faces], np.float32).reshape(-1, 4)
                table = overlaps(bbox[None], boxes)[0]
                shares.append(float(table.max(initial=0)))
                cosines.append(
                    float(faces[int(table.argmax())].embedding @ embedding) if len(faces) else 0.0
                )
        found = np.array(shares) >= 0.5
        if not found.any():
            return cls(0.0, 0.0, 0.0)
        medians = [float(np.median(np.array(values)[found])) for values in (shares, cosines)]
        return cls(float(found.mean()), *medians)


def measure(pack: Pack, app: Any, name: str, path: Path) -> dict[str, Result]:
    """Frames per second of both modes and of the baseline on one clip; best of all runs."""
    reference = baseline(app, path)
    count = len(reference)
    works = {mode: ours(pack, params, count) for mode, params in MODES.items()}
    spent: dict[str, list[float]] = {"baseline": [], **{mode: [] for mode in works}}
    found = {mode: work(path) for mode, work in works.items()}
    for _ in range(REPEATS):
        turn: dict[str, Callable[[], object]] = {
            "baseline": functools.partial(baseline, app, path),
            **{mode: functools.partial(work, path) for mode, work in works.items()},
        }
        for side, run_once in turn.items():
            spent[side] += [seconds(run_once)[0] for _ in range(PASSES)]
    fastest = {key: count / min(values) for key, values in spent.items()}
    for mode in works:
        fit = Agreement.of(found[mode], reference)
        print(
            f"{mode} {name}: {count} frames, {fastest[mode]:.1f} against "
            f"{fastest['baseline']:.1f} frames/s; recall {fit.recall:.3f}, "
            f"IoU {fit.overlap:.4f}, cosine {fit.cosine:.4f}",
            flush=True,
        )
    return {mode: rate(mode, fastest[mode], fastest["baseline"], "frames/s") for mode in works}


def run() -> list[Result]:
    """The smallest ratio of each mode over all clips."""
    keep_freed_memory()  # as stage `detect` does; it holds for the baseline, too
    from insightface.app import FaceAnalysis

    warnings.filterwarnings("ignore", module="insightface")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_pack("embedded", fetch_pack("embedded"), root / "models" / "embedded")
        app = FaceAnalysis(name="embedded", root=folder)
        app.prepare(ctx_id=-1, det_size=(640, 640))
        pack = load_pack(root / "models" / "embedded")
        results = [measure(pack, app, name, path) for name, path in clips().items()]
    return [min((one[mode] for one in results), key=lambda r: r.ratio) for mode in MODES]


if __name__ == "__main__":
    from benchmarks.harness import record

    record(run())
