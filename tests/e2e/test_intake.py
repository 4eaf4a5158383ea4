"""Footage of every kind through the doors that people use: `likeness add`, then `dvc repro`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.frames import FRAMES
from tests.flows.stub import dvc
from tests.footage import make_clip, make_stills
from tests.house import copy_repository, write_consent
from tests.unit.test_media_sound import with_sound
from tests.unit.test_media_stills import with_profile
from tests.unit.test_media_times import joined


@pytest.fixture(scope="module")
def root(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_repository(repository, tmp_path_factory.mktemp("intake") / "repo")
    write_consent(folder, "ann")
    return folder


def likeness(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own."""
    return subprocess.run(
        [Path(sys.executable).with_name("likeness"), *map(os.fspath, map(str, arguments))],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def add(root: Path, file: Path, role: str, *more: str) -> subprocess.CompletedProcess[str]:
    who = ("--identity", "ann", "--role", role, "--consent", "ann-2026", "--yes")
    return likeness(root, "add", file, *who, *more)


def clips(root: Path) -> list[str]:
    return sorted(p.name for p in (root / "data/clips").iterdir())


def no_faces(path: Path, swap: str, clip: str) -> None:
    """A converted.parquet without a face."""
    with Writer(CONVERTED, path) as writer:
        writer.facts.update(
            swap=swap, source="ann", target=clip, model="none", family="none",
            size_px=64, mask_size_px=64, template="ffhq_512",
        )  # fmt: skip


def damaged(path: Path) -> Path:
    data = bytearray(make_clip(path, 40, (160, 120), codec="mjpeg", pixel_format="yuvj420p")
                     .read_bytes())  # fmt: skip
    start = len(data) // 2
    data[start : start + len(data) // 4] = bytes(len(data) // 4)
    path.write_bytes(data)
    return path


def test_what_is_added_is_read_by_dvc(root: Path, tmp_path: Path) -> None:
    joined(tmp_path / "joined.ts")
    with_sound(tmp_path / "take 2: stereo.avi", "pcm_s16le")
    with_profile(tmp_path / "icc.png")
    damaged(tmp_path / "hole.mkv")
    said = {
        name: add(root, tmp_path / file, role, "--clip", name)
        for name, file, role in (
            ("joined", "joined.ts", "target"),
            ("stereo", "take 2: stereo.avi", "target"),
            ("icc", "icc.png", "source"),
            ("hole", "hole.mkv", "target"),
        )
    }
    assert [run.returncode for run in said.values()] == [0] * 4, [r.stderr for r in said.values()]
    assert (
        "sound: pcm_s16le, converted to AAC (players read no PCM in MP4)" in said["stereo"].stdout
    )
    assert "times start again 0.80 s after the beginning" in said["joined"].stderr
    assert "of 40 frames are missing from the file" in said["hole"].stderr
    assert said["icc"].stderr == ""
    dvc(root, "repro", *(f"data/clips/{name}/dvc.yaml:frames" for name in said))
    found = {name: FRAMES.check(root / f"data/clips/{name}/frames.parquet") for name in said}
    counts = {name: facts["frames"] for name, facts in found.items()}
    assert counts == {"joined": 40, "stereo": 20, "icc": 1, "hole": 40}
    assert found["hole"]["undecodable_frames"] > 5
    assert found["joined"]["remarks"][0].startswith("times start again")
    blended(root, "stereo")


def blended(root: Path, clip: str) -> None:
    """Stage `blend` in a process of its own: picture, sound and length as they were."""
    no_faces(root / "converted.parquet", "test", clip)
    arguments = {
        "swap": "test",
        "clip": f"data/clips/{clip}/clip.yaml",
        "frames": f"data/clips/{clip}/frames.parquet",
        "converted": "converted.parquet",
        "render": "render.mp4",
    }
    (root / "other.yaml").write_text(
        "blend: {preset: ultrafast}\nswaps: {test: {source: ann, target: stereo, model: none}}\n"
    )
    arguments["params"] = "other.yaml"
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    run = subprocess.run(
        [sys.executable, "-m", "tasks.blend", *words],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with av.open(str(root / "render.mp4")) as film:
        assert film.streams.video[0].frames == 20
        assert film.streams.audio[0].codec_context.name == "aac"


def refused(tmp_path: Path) -> Iterable[tuple[Path, str, str]]:
    """File, role, and what is said of it."""
    film = make_clip(tmp_path / "film.mp4")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n")
    yield tmp_path / "list.m3u8", "source", "is no readable video"
    (tmp_path / "link.mp4").symlink_to("/etc/passwd")
    yield tmp_path / "link.mp4", "source", "is a link that leads to /etc/passwd"
    linked = make_stills(tmp_path / "linked", 1)
    (linked / "1.png").symlink_to("/etc/passwd")
    yield linked, "source", "is a link that leads to /etc/passwd"
    mixed = make_stills(tmp_path / "mixed", 2)
    make_stills(tmp_path / "small", 3, (48, 48))
    (tmp_path / "small/0002.png").rename(mixed / "0002.png")
    yield mixed, "target", "its stills differ in size"
    latin = make_stills(tmp_path / "latin", 1)
    Path(os.fsdecode(os.fsencode(latin) + b"/\xe9.png")).write_bytes(b"x")
    yield latin, "source", "has a name that is not UTF-8"


def test_what_is_refused_leaves_nothing(root: Path, tmp_path: Path) -> None:
    before = clips(root)
    for file, role, problem in refused(tmp_path):
        run = add(root, file, role, "--clip", "refused")
        assert run.returncode == 2, file
        assert problem in run.stderr
        assert len(run.stderr.splitlines()) == 1, run.stderr
    assert clips(root) == before


def test_mixed_sizes_are_a_source(root: Path, tmp_path: Path) -> None:
    folder = make_stills(tmp_path / "mixed", 12)
    make_stills(tmp_path / "small", 1, (48, 48))
    (tmp_path / "small/0000.png").rename(folder / "0011.png")
    (folder / "x.heic").write_bytes(b"x")
    run = add(root, folder, "source", "--clip", "mixed")
    assert run.returncode == 0, run.stderr
    assert "stills of 2 sizes" in run.stderr
    assert "1 file is left out (.heic is not read): x.heic" in run.stderr
    dvc(root, "repro", "data/clips/mixed/dvc.yaml:frames")
    rows: pa.Table = FRAMES.read(root / "data/clips/mixed/frames.parquet", ["decoded"])
    assert np.asarray(rows["decoded"]).tolist() == [True] * 12
    again = add(root, folder, "source", "--clip", "again")
    assert "the same footage as clip mixed" in again.stderr


def test_footage_that_is_a_link_is_not_read(root: Path, tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mp4", 4)
    assert add(root, film, "source", "--clip", "swapped").returncode == 0
    footage = root / "data/clips/swapped/footage.mp4"
    footage.unlink()
    footage.symlink_to(film)
    run = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "data/clips/swapped/dvc.yaml:frames"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode != 0
    assert "is a link that leads to" in run.stderr + run.stdout
    assert not (root / "data/clips/swapped/frames.parquet").exists()
