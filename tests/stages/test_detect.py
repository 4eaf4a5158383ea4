"""Stage detect: followed faces agree with detected ones; empty, cut and damaged clips."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from likeness.contracts.errors import FootageError
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.detections import DETECTIONS
from likeness.vision.tracks import overlaps
from models.analysers.faces import slerp
from models.analysers.fetch import fetch
from models.analysers.sweep import face_sharpness, scanned_frames
from tasks.detect import STAGE
from tests import footage as clips
from tests.synthetic_faces import write_frames

EVERY = "detect:\n  detect_every_frames: 1\n  embed_every_frames: 1\n"


@dataclass
class Rows:
    """Columns of a detections.parquet."""

    frame_index: npt.NDArray[np.int32]
    bbox: npt.NDArray[np.float32]
    det_score: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    followed: npt.NDArray[np.bool_]
    interpolated: npt.NDArray[np.bool_]
    facts: dict[str, object]
    path: Path


class Bench:
    """Runs the stage in a folder of its own."""

    def __init__(self, folder: Path, pack: Path) -> None:
        self.folder, self.pack = folder, pack

    def arguments(self, footage: Path, out: Path, params: str) -> list[str]:
        (self.folder / "params.yaml").write_text(params)
        names = {
            "pack": self.pack,
            "footage": footage,
            "frames": self.folder / "frames.parquet",
            "detections": out,
            "params": self.folder / "params.yaml",
        }
        return [part for name, path in names.items() for part in (f"--{name}", str(path))]

    def run(
        self, footage: Path, count: int, params: str = "detect: {}\n", cuts: tuple[int, ...] = ()
    ) -> Rows:
        write_frames(self.folder / "frames.parquet", count, cuts=cuts)
        out = self.folder / "detections.parquet"
        STAGE.execute(self.arguments(footage, out, params))
        table, facts = DETECTIONS.read(out), DETECTIONS.check(out)
        return Rows(
            as_numpy(table["frame_index"]),
            as_numpy(table["bbox"], (4,)),
            as_numpy(table["det_score"]),
            as_numpy(table["normed_embedding"], (128,)),
            as_numpy(table["followed"]).astype(bool),
            as_numpy(table["embedding_interpolated"]).astype(bool),
            facts,
            out,
        )


@pytest.fixture
def bench(tmp_path: Path, pack_folder: Path) -> Bench:
    return Bench(tmp_path, pack_folder)


def agreement(rows: Rows, wanted: Rows) -> tuple[float, float, float]:
    """Recall, median overlap and median cosine for the sure faces of `wanted` (score >= 0.8)."""
    shares, cosines = [], []
    sure = np.flatnonzero(wanted.det_score >= 0.8)
    columns = wanted.frame_index[sure], wanted.bbox[sure], wanted.embedding[sure]
    for frame, bbox, embedding in zip(*columns, strict=True):
        here = np.flatnonzero(rows.frame_index == frame)
        share = overlaps(bbox[None], rows.bbox[here])[0]
        shares.append(share.max(initial=0.0))
        cosines.append(rows.embedding[here[share.argmax()]] @ embedding if len(here) else 0.0)
    found = np.array(shares) >= 0.5
    medians = [float(np.median(np.array(values)[found])) for values in (shares, cosines)]
    return float(found.mean()), medians[0], medians[1]


def test_default_agrees_with_every_frame(bench: Bench) -> None:
    footage = fetch(["man-portrait"])["man-portrait"]
    every = bench.run(footage, 72, EVERY)
    assert len(every.frame_index) == 72
    assert not every.followed.any()
    assert not every.interpolated.any()
    assert every.facts["detector_frames"] == 72
    rows = bench.run(footage, 72)
    recall, overlap, cosine = agreement(rows, every)
    assert recall == 1.0
    assert overlap >= 0.97
    assert cosine >= 0.99
    assert int(str(rows.facts["detector_frames"])) <= 12
    assert 0.5 < rows.followed.mean() < 0.9
    assert np.allclose(np.linalg.norm(rows.embedding, axis=1), 1, atol=1e-4)


def test_threads_do_not_change_the_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    footage = fetch(["man-portrait"])["man-portrait"]
    contents = []
    for threads in ("1", "3"):
        monkeypatch.setenv("LIKENESS_THREADS", threads)
        contents.append(bench.run(footage, 24).path.read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "cuts", "least"),
    [
        # Upright, the head moves; strong expressions; several people, pans, cuts, small faces.
        ("lp_s29", (), (1.0, 0.97, 0.985)),
        ("lp_d6", (), (1.0, 0.96, 0.97)),
        ("fr_short_hamilton", (20,), (0.95, 0.93, 0.95)),
    ],
)
def test_difficult_footage(
    bench: Bench, shared: Path, clip: str, cuts: tuple[int, ...], least: tuple[float, ...]
) -> None:
    footage = shared / "footage" / f"{clip}.mp4"
    every = bench.run(footage, 96, EVERY, cuts)
    found = agreement(bench.run(footage, 96, cuts=cuts), every)
    assert all(value >= bound for value, bound in zip(found, least, strict=True)), found


def test_a_clip_without_faces_gives_no_rows(bench: Bench) -> None:
    rows = bench.run(fetch(["no-face"])["no-face"], 40)
    assert len(rows.frame_index) == 0
    assert rows.facts["frames"] == 40
    assert rows.facts["embeddings_measured"] == 0
    assert DETECTIONS.read(rows.path).schema.names == DETECTIONS.schema.names


def test_a_clip_without_frames_is_legal(bench: Bench) -> None:
    rows = bench.run(fetch(["no-face"])["no-face"], 0)
    assert len(rows.frame_index) == 0
    assert rows.facts["detector_frames"] == 0


def test_faces_come_and_go_at_the_right_frame(bench: Bench, shared: Path, tmp_path: Path) -> None:
    from likeness.media.pictures import read_image

    face = read_image(shared / "photos/astronaut.png")[::2, ::2]
    empty = np.full_like(face, 90)
    stills = tmp_path / "stills"
    clips.make_stills(stills, 24, picture=lambda i, _: face if 5 <= i < 14 else empty)
    rows = bench.run(stills, 24)
    assert rows.frame_index.tolist() == list(range(5, 14))


def test_footage_that_is_not_the_described_one_is_refused(bench: Bench, tmp_path: Path) -> None:
    clip = clips.make_truncated(tmp_path / "short.mp4")
    with pytest.raises(FootageError, match=r"though frames\.parquet|less than frames\.parquet"):
        bench.run(clip, 500)


def test_scans_hold_both_ends_of_every_shot() -> None:
    shots = np.repeat(np.arange(3), [10, 1, 6]).astype(np.int32)
    chosen = np.flatnonzero(scanned_frames(shots, 4)).tolist()
    assert chosen == [0, 4, 8, 9, 10, 11, 15, 16]
    assert scanned_frames(shots, 1).all()
    assert len(scanned_frames(shots[:0], 4)) == 0


def test_sharpness_falls_with_blur_and_is_none_beside_the_frame() -> None:
    import cv2

    luma = np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8)
    box = np.array([20, 20, 180, 180], np.float32)
    assert face_sharpness(luma, box) > 2 * face_sharpness(cv2.blur(luma, (5, 5)), box) > 0
    assert face_sharpness(luma, box + 500) == 0.0


def test_slerp_stays_on_the_sphere_and_meets_its_ends() -> None:
    first, second = np.eye(4, dtype=np.float32)[:2]
    assert np.allclose(slerp(first, second, 0.0), first)
    assert np.allclose(slerp(first, second, 1.0), second, atol=1e-6)
    assert np.allclose(slerp(first, second, 0.5), [0.5**0.5, 0.5**0.5, 0, 0])
    assert np.allclose(slerp(first, first, 0.3), first)


PEAK = "import resource,sys;from tasks.detect import STAGE;STAGE.execute(sys.argv[1:]);"
PEAK += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(bench: Bench, shared: Path, repository: Path) -> None:
    footage = shared / "footage/clm_franck.mp4"
    peaks = []
    for count in (600, 2400):
        write_frames(bench.folder / "frames.parquet", count)
        out = bench.folder / "detections.parquet"
        command = [sys.executable, "-c", PEAK, *bench.arguments(footage, out, "detect: {}\n")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] <= 1.1 * peaks[0]
