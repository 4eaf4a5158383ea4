"""The FaceForensics++ protocol: layout, arithmetic, and known answers on small films."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from apps.protocols import faceforensics
from apps.protocols.cache import FaceCache
from apps.protocols.dataset_folder import LayoutError, read_layout
from apps.protocols.faces import Analyst, Found, frame_count
from likeness.contracts.errors import FootageError
from likeness.metrics import faceforensics as tables
from likeness.metrics.faceforensics import Measured
from tests.footage import make_clip
from tests.house import cut


def originals(root: Path, kind: str = "c23") -> Path:
    folder = root / "original_sequences/youtube" / kind / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def method(root: Path, name: str, kind: str = "c23") -> Path:
    folder = root / "manipulated_sequences" / name / kind / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_layout_reads_names_methods_and_compressions(tmp_path: Path) -> None:
    (originals(tmp_path) / "000.mp4").touch()
    (originals(tmp_path) / "notes.txt").touch()
    for name in ("000_001.mp4", "strange.mp4"):
        (method(tmp_path, "FaceSwap") / name).touch()
    (method(tmp_path, "Deepfakes", "c40") / "000_001.mp4").touch()
    found = read_layout(tmp_path, ["FaceSwap"])
    assert (found.compression, list(found.originals)) == ("c23", ["000"])
    assert [(s.target, s.source) for s in found.swapped] == [("000", "001"), ("", "")]
    with pytest.raises(LayoutError, match=r"2 compressions.*--compression: c23, c40"):
        read_layout(tmp_path)
    only = read_layout(tmp_path, compression="c40")
    assert ([s.method for s in only.swapped], only.originals_compression) == (["Deepfakes"], "c23")


@pytest.mark.parametrize(
    ("methods", "kind", "words"),
    [(["Nobody"], "", "known: FaceSwap"), ([], "raw", "no compression `raw`")],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, methods: list[str], kind: str, words: str
) -> None:
    originals(tmp_path)
    method(tmp_path, "FaceSwap")
    with pytest.raises(LayoutError, match=words):
        read_layout(tmp_path, methods, kind)
    with pytest.raises(LayoutError, match="holds no manipulated_sequences"):
        read_layout(tmp_path / "elsewhere")


def test_means_are_over_faces_and_lost_frames_count_as_misses() -> None:
    videos = [
        Measured("A", "0_1", "0", "1", 10, ("1",) * 8, (0.5,) * 8, (2.0,) * 8, (0.1,) * 8),
        Measured("A", "1_0", "1", "0", 10, ("1", "0"), (0.5, 0.7), (7.0,), (0.3,)),
        Measured("A", "2_0", "2", "0", reason="no face in 10 frames"),
    ]
    row = tables.table(videos)[0]
    assert (row["videos"], row["left_out"], row["frames"], row["faces"]) == (2, 1, 20, 10)
    assert (row["retrieval"], row["retrieved_as_target"]) == (0.9, 0.1)
    assert row["retrieval_of_all_frames"] == 0.45
    assert row["pose_error_deg"] == pytest.approx((8 * 2 + 7) / 9, abs=1e-4)
    assert tables.reasons(videos) == {"no face in 10 frames": 1}
    assert tables.confusions(videos) == {"A": {"0": {"0": 1, "1": 1}, "1": {"1": 8}}}
    assert "| A | 2 | 1 | 20 | 10 | 90.00 | 45.00 | 10.00 | 9 | 2.56 |" in tables.markdown([row])


def test_a_method_without_a_face_has_no_figures() -> None:
    row = tables.table([Measured("A", "0_1", "0", "1", reason="broken")])[0]
    assert {row[name] for name in (*tables.SHARES, "pose_error_deg")} == {None}
    assert "| A | 0 | 1 | 0 | 0 | - |" in tables.markdown([row])


def test_frames_are_counted_exactly(tmp_path: Path) -> None:
    assert frame_count(make_clip(tmp_path / "clip.mp4", frames=17)) == 17
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(FootageError, match="empty"):
        frame_count(tmp_path / "empty.mp4")


def nothing_found(count: int) -> Found:
    zeros = [np.zeros((count, n), np.float32) for n in (4, 8)]
    mesh = np.zeros((0, 468, 3), np.float32)
    frames = np.arange(count)
    return Found(frames, np.zeros(count, bool), 0, *zeros, mesh, np.zeros((0, 3), np.float32))


def test_the_cache_knows_video_question_and_networks(tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"one")
    asked: list[int] = []

    def look() -> Found:
        asked.append(1)
        return nothing_found(3)

    cache = FaceCache(tmp_path / "kept", {"detector": "a"})
    first, again = cache.found(video, "q", look), cache.found(video, "q", look)
    assert len(asked) == 1
    assert np.array_equal(first.frames, again.frames)
    cache.found(video, "other question", look)
    FaceCache(tmp_path / "kept", {"detector": "b"}).found(video, "q", look)
    video.write_bytes(b"two")
    cache.found(video, "q", look)
    assert len(asked) == 4
    for kept in (tmp_path / "kept").rglob("*.npz"):
        kept.write_bytes(kept.read_bytes()[:100])  # as a full disk leaves it
    cache.found(video, "q", look)
    assert len(asked) == 5


@pytest.fixture(scope="module")
def films(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    names = {"000": "lp_d10.mp4", "001": "lp_d14.mp4"}
    found = {
        key: cut(shared / "footage" / name, folder / f"{key}.mp4", range(0, 96, 8))
        for key, name in names.items()
    }
    return {**found, "nobody": shared / "footage/no_face.mp4"}


@pytest.mark.slow
def test_known_answers_and_what_is_left_out(
    films: dict[str, Path],
    pack_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The source's own film is retrieved always, the target's copy never; the rest is counted."""
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))
    root = tmp_path / "set"
    for name in ("000", "001"):
        shutil.copy(films[name], originals(root) / f"{name}.mp4")
    shutil.copy(films["001"], method(root, "SourceShown") / "000_001.mp4")
    shutil.copy(films["000"], method(root, "TargetCopied") / "000_001.mp4")
    shutil.copy(films["nobody"], method(root, "Odd") / "000_001.mp4")
    shutil.copy(films["000"], method(root, "Odd") / "000_777.mp4")
    shutil.copy(films["000"], method(root, "Odd") / "strange.mp4")
    (method(root, "Odd") / "001_000.mp4").write_bytes(b"no video at all" * 100)
    arguments = [str(root), str(tmp_path / "out"), "--pack", str(pack_folder)]
    assert faceforensics.main(arguments) == 0
    assert "circular" in capsys.readouterr().out

    found = json.loads((tmp_path / "out/benchmark.json").read_text())
    rows = {row["method"]: row for row in found["methods"]}
    assert rows["SourceShown"]["retrieval"] == 1.0
    assert rows["SourceShown"]["pose_error_deg"] > 1
    copied = rows["TargetCopied"]
    assert (copied["retrieval"], copied["retrieved_as_target"]) == (0.0, 1.0)
    assert copied["faces"] == copied["compared"] == 10
    assert copied["pose_error_deg"] == pytest.approx(0, abs=1e-3)
    assert copied["expression_error"] == pytest.approx(0, abs=1e-4)
    assert (rows["Odd"]["videos"], rows["Odd"]["left_out"]) == (0, 4)
    reasons = {row["video"]: row["reason"] for row in found["videos"] if row["reason"]}
    assert set(reasons) == {"000_001", "000_777", "001_000", "strange"}
    assert reasons["000_001"] == "no face in 10 frames"
    assert "777 is not among the originals" in reasons["000_777"]
    with (tmp_path / "out/videos.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6

    # Taken up again, nothing is looked at that gave an answer, and every byte is the same.
    shutil.rmtree(root / "manipulated_sequences/Odd")
    assert faceforensics.main(arguments) == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert before.keys() == {"methods.md", "methods.csv", "videos.csv", "benchmark.json"}
    looked: list[Path] = []
    monkeypatch.setattr(Analyst, "_look", lambda _self, path, *_a, **_k: looked.append(path))
    assert faceforensics.main(arguments) == 0
    assert looked == []
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


@pytest.mark.slow
def test_the_command_prints_json_and_one_line_for_a_fault(
    tmp_path: Path, repository: Path, pack_folder: Path
) -> None:
    if not pack_folder.is_relative_to(repository):
        pytest.skip("the command reads data/packs; run `dvc repro pack`")
    originals(tmp_path)
    method(tmp_path, "FaceSwap")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "flows.cli", "benchmark-ff", str(tmp_path)),
            *("--out", str(tmp_path / "out"), "--json"),
        ],
        cwd=repository,
        env={**os.environ, "LIKENESS_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no video could be measured (there are no manipulated videos)" in done.stderr
    assert json.loads((tmp_path / "out/benchmark.json").read_text())["methods"] == []
