"""Stage `frames`: one row per frame, byte-stable, and one line for what cannot be read."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest

from likeness.contracts.documents import sha256_of
from likeness.contracts.tables.frames import FRAMES
from tasks.frames import STAGE
from tests.footage import (
    Size,
    corners,
    make_audio,
    make_clip,
    make_clip_folder,
    make_stills,
    make_truncated,
    noise,
    packet_times,
)


def arguments(folder: Path, footage: Path, out: str = "frames.parquet") -> list[str]:
    """Command line of the stage."""
    clip = make_clip_folder(folder)
    params = folder / "params.yaml"
    if not params.exists():
        params.write_text("frames: {}\n")
    paths = {"clip": clip, "footage": footage, "frames": folder / out, "params": params}
    return [word for name, path in paths.items() for word in (f"--{name}", str(path))]


def survey(folder: Path, footage: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run the stage; rows and facts."""
    STAGE.execute(arguments(folder, footage))
    path = folder / "frames.parquet"
    return FRAMES.read(path).to_pandas(), FRAMES.check(path)


def test_rows_and_facts(tmp_path: Path) -> None:
    pts = [0, 3, 4, 9, 20, 21]
    path = make_clip(
        tmp_path / "footage.mp4", 6, pts=pts, time_base=Fraction(1, 600), rotation=90, audio="aac"
    )
    rows, facts = survey(tmp_path, path)
    assert rows.frame_index.tolist() == list(range(6))
    assert rows.pts.tolist() == packet_times(path) == pts
    assert rows.pts_s.tolist() == [p / 600 for p in pts]
    assert rows.decoded.all()
    assert (rows.sharpness > 0).all()
    assert (facts["width_px"], facts["height_px"], facts["rotation_deg"]) == (64, 96, 90)
    assert (facts["time_base"], facts["variable_frame_rate"]) == ([1, 600], True)
    assert (facts["clip"], facts["footage"], facts["kind"]) == ("test-clip", path.name, "video")
    assert facts["footage_sha256"] == sha256_of(path)
    assert (facts["frames"], facts["undecodable_frames"], facts["audio_streams"]) == (6, 0, 1)


def test_even_steps_are_no_variable_rate(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "footage.mkv", 40, rate=Fraction(30000, 1001))
    assert not survey(tmp_path, path)[1]["variable_frame_rate"]


def test_stills(tmp_path: Path) -> None:
    rows, facts = survey(tmp_path, make_stills(tmp_path / "footage", 4))
    assert rows.pts.tolist() == [0, 1, 2, 3]
    assert (facts["kind"], facts["footage_sha256"]) == ("stills", sha256_of(tmp_path / "footage"))


def test_bytes_are_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_truncated(tmp_path / "footage.mp4", frames=40, size=(160, 120), picture=noise)
    written = set()
    for count in ("1", "2", "4", "2"):
        monkeypatch.setenv("LIKENESS_THREADS", count)
        survey(tmp_path, path)
        written.add((tmp_path / "frames.parquet").read_bytes())
    assert len(written) == 1


def _two_scenes(index: int, size: Size) -> np.ndarray:
    """A cut at frame 7, and each second frame shown twice."""
    number = index // 2 * 2 if index < 7 else index
    return corners(number, size) if index < 7 else noise(0, size)[:, ::-1] // 8 * (index % 2 + 7)


def test_shots_and_repeats(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "footage.mp4", 12, (320, 240), picture=_two_scenes, options={"crf": "14"}
    )
    rows, facts = survey(tmp_path, path)
    assert rows.shot_index.tolist() == [0] * 7 + [1] * 5
    assert facts["shots"] == 2
    kept = rows.duplicate_of[:7].tolist()
    assert kept[1::2] == [0, 2, 4]
    assert all(np.isnan(v) for v in kept[::2])
    assert rows.duplicate_of[7:].isna().all()


def test_undecodable_frames_are_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_truncated(tmp_path / "footage.mp4", frames=40, size=(160, 120), picture=noise)
    rows, facts = survey(tmp_path, path)
    lost = int((~rows.decoded).sum())
    assert len(rows) == facts["frames"] == 40
    assert facts["undecodable_frames"] == lost > 0
    assert f"{lost} of 40 frames cannot be decoded" in capsys.readouterr().err
    assert (rows.sharpness[~rows.decoded] == 0).all()


def _bad(folder: Path, kind: str) -> Path:
    path = folder / "footage.mp4"
    if kind == "zero bytes":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no video\n" * 50)
    elif kind == "head only":
        path.write_bytes(make_clip(folder / "whole.mp4").read_bytes()[:700])
    elif kind == "sound only":
        make_audio(path)
    else:
        path = folder / "footage"
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["zero bytes", "text", "head only", "sound only", "empty folder"])
def test_bad_footage_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    folder = tmp_path / "clips" / "bad-clip"
    folder.mkdir(parents=True)
    footage = _bad(folder, kind)
    with pytest.raises(SystemExit) as caught:
        STAGE.main(arguments(tmp_path, footage))
    lines = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"error: {footage}: ")
    assert "replace the file or run `likeness remove bad-clip`" in lines[0]
    assert not list(tmp_path.glob("*frames.parquet*"))


def test_an_unknown_parameter_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "params.yaml").write_text("frames:\n  shot_treshold: 0.2\n")
    with pytest.raises(SystemExit) as caught:
        STAGE.main(arguments(tmp_path, make_clip(tmp_path / "footage.mp4", 2)))
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert "params.yaml:2" in text
    assert "did you mean `shot_threshold`?" in text


def test_real_footage_has_the_shots_a_person_sees(shared: Path, tmp_path: Path) -> None:
    starts = {}
    for name in ("fr_short_hamilton", "single_face", "lp_s29", "lp_d19", "no_face"):
        rows, _ = survey(tmp_path, shared / "footage" / f"{name}.mp4")
        starts[name] = rows.groupby("shot_index").frame_index.min().tolist()
        assert rows.duplicate_of.notna().mean() < 0.05
    assert starts.pop("fr_short_hamilton") == [0, 20, 82, 211]
    assert set(map(tuple, starts.values())) == {(0,)}


_PEAK = """
import resource, sys
from tasks.frames import STAGE
STAGE.execute(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak_kilobytes(folder: Path, footage: Path, repository: Path) -> int:
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, *arguments(folder, footage)],
        cwd=repository,
        env={**os.environ, "LIKENESS_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout.strip())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(shared: Path, tmp_path: Path, repository: Path) -> None:
    long = shared / "footage" / "clm_franck.mp4"
    short = first_frames(long, tmp_path / "short.mp4", 600)
    peaks = {path: _peak_kilobytes(tmp_path, path, repository) for path in (short, long)}
    assert peaks[long] <= 1.10 * peaks[short]


def first_frames(source: Path, path: Path, count: int) -> Path:
    """Copy the packets of the first `count` frames."""
    with av.open(str(source)) as given, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.size and number < count:
                packet.stream = stream
                target.mux(packet)
    return path


def test_damage_can_be_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_truncated(tmp_path / "footage.mp4", frames=40, size=(160, 120), picture=noise)
    (tmp_path / "params.yaml").write_text("frames: {damage: refuse}\n")
    with pytest.raises(SystemExit) as caught:
        STAGE.main(arguments(tmp_path, path))
    lines = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert "of 40 frames are missing or damaged" in lines[-1]
    assert not (tmp_path / "frames.parquet").exists()


def test_whatever_ffmpeg_raises_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise av.error.UnknownError(1313558101, "Unknown error occurred", "footage.mp4")

    monkeypatch.setattr("tasks.frames.open_footage", fails)
    with pytest.raises(SystemExit) as caught:
        STAGE.main(arguments(tmp_path, make_clip(tmp_path / "footage.mp4", 2)))
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: frames: FFmpeg gave up")
