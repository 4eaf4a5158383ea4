"""Stills: which are used, in which order, and what is said of the rest."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from likeness.contracts.errors import FootageError
from likeness.media.footage import open_footage
from likeness.media.inspect import inspected
from likeness.media.stills import list_stills, read_folder
from tests.footage import corners, make_clip, make_stills


def picture(path: Path, size: tuple[int, int] = (64, 48), index: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = ".jpg" if path.suffix == ".jfif" else path.suffix
    bgr = np.ascontiguousarray(corners(index, size)[..., ::-1])
    path.write_bytes(cv2.imencode(suffix, bgr)[1].tobytes())
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_profile(path: Path) -> Path:
    """A PNG with an embedded colour profile (PNG specification, 11.3.2.3)."""
    data = picture(path).read_bytes()
    profile = chunk(b"iCCP", b"a name\0\0" + zlib.compress(bytes(300)))
    path.write_bytes(data[:33] + profile + data[33:])
    return path


def animated(path: Path) -> Path:
    """The first bytes of an animated WebP (RFC 9649, 2.7)."""
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([2]) + bytes(9) + b"ANIM" + bytes(40)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def test_order_is_that_of_people(tmp_path: Path) -> None:
    names = [f"frame{number}.png" for number in (1, 10, 11, 2, 9, 100)] + ["Frame3.png"]
    for name in names:
        picture(tmp_path / name)
    found = [p.name for p in list_stills(tmp_path)]
    wanted = ["frame1", "frame2", "Frame3", "frame9", "frame10", "frame11", "frame100"]
    assert found == [f"{name}.png" for name in wanted]


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".bmp", ".jfif", ".jpeg", ".webp", ".PNG"])
def test_kinds_of_stills(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "stills"
    for index in range(2):
        picture(folder / f"{index}{suffix.lower()}", index=index).rename(
            folder / f"{index}{suffix}"
        )
    frames = list(open_footage(folder).frames())
    assert [f.decoded for f in frames] == [True, True]
    assert np.abs(frames[1].rgb().astype(int) - corners(1, (64, 48))).mean() < 4
    assert inspected(folder, "target", "continue", "aac")["warnings"] == []


def test_one_picture_is_footage_of_one_frame(tmp_path: Path) -> None:
    for name in ("one.png", "one.jfif", "one.tif", "one.bmp", "one.jpg"):
        footage = open_footage(picture(tmp_path / name))
        assert footage.facts["kind"] == "stills"
        assert len(list(footage.frames())) == 1


def test_a_profile_ends_no_process(tmp_path: Path, shared: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from likeness.media.footage import open_footage\n"
        "print(len(list(open_footage(Path(sys.argv[1])).frames())))\n"
    )
    for path in (with_profile(tmp_path / "icc.png"), shared / "cases/icc.png"):
        run = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout) == (0, "1\n"), run.stderr


def test_what_is_left_out_is_named_and_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for name in ("b.heic", "c.heic", "notes.txt", "no-suffix", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    animated(tmp_path / "d.webp")
    (tmp_path / "more").mkdir()
    found = read_folder(tmp_path)
    assert [p.name for p in found.used] == ["a.png"]
    assert dict(found.left_out) == {
        "b.heic": ".heic is not read",
        "c.heic": ".heic is not read",
        "d.webp": "an animation",
        "more": "a folder",
        "no-suffix": "no suffix is not read",
        "notes.txt": ".txt is not read",
    }
    said = inspected(tmp_path, "source", "continue", "aac")["warnings"]
    assert "2 files are left out (.heic is not read): b.heic, c.heic" in said
    assert "1 file is left out (an animation): d.webp" in said


def test_stills_of_several_sizes_are_a_source_and_no_target(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    picture(tmp_path / "2.png", (32, 64))
    [said] = inspected(tmp_path, "source", "continue", "aac")["warnings"]
    assert said == "stills of 2 sizes: 2.png is 32x64 px, 1.png 64x48 px; they are used as they are"
    with pytest.raises(FootageError, match=r"its stills differ in size .* and a film has one"):
        inspected(tmp_path, "target", "continue", "aac")


def test_broken_stills_are_counted_or_refused(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"broken")
    [said] = inspected(tmp_path, "source", "continue", "aac")["warnings"]
    assert said == "1 of 2 stills cannot be decoded: 2.png"
    with pytest.raises(FootageError, match="1 of 2 stills cannot be decoded"):
        inspected(tmp_path, "source", "refuse", "aac")


def test_jpegs_with_a_hole_are_said(tmp_path: Path) -> None:
    """Decoders make up what is missing, and say so on standard error alone."""
    picture(tmp_path / "1.jpg", (320, 240))
    data = bytearray(picture(tmp_path / "2.jpg", (320, 240), 1).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    (tmp_path / "2.jpg").write_bytes(data)
    [said] = inspected(tmp_path, "source", "continue", "aac")["warnings"]
    assert said == "1 of 2 stills are damaged, and a part made up: 2.jpg"
    with pytest.raises(FootageError, match="1 of 2 stills are damaged"):
        inspected(tmp_path, "source", "refuse", "aac")


def test_links_are_followed_inside_alone(tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    picture(folder / "1.png")
    (folder / "2.png").symlink_to("1.png")
    assert len(list(open_footage(folder).frames())) == 2
    (folder / "3.png").symlink_to("/etc/passwd")
    with pytest.raises(FootageError, match=r"3\.png: is a link that leads to /etc/passwd"):
        open_footage(folder)


def test_links_to_the_cache_are_footage(tmp_path: Path) -> None:
    stored = tmp_path / "cache/files/md5/ab" / ("0" * 30)
    picture(tmp_path / "x.png").rename(stored.parent.mkdir(parents=True) or stored)
    folder = tmp_path / "stills"
    folder.mkdir()
    (folder / "1.png").symlink_to(stored)
    assert len(list(open_footage(folder).frames())) == 1


def test_a_name_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    make_stills(tmp_path, 1)
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(path)).write_bytes((tmp_path / "0000.png").read_bytes())
    with pytest.raises(FootageError) as caught:
        list_stills(tmp_path)
    line = str(caught.value)
    assert line.encode().endswith(rb"/caf\xe9.png: has a name that is not UTF-8; rename the file")


def test_pictures_that_look_like_films_are_named(tmp_path: Path) -> None:
    animated(tmp_path / "a.webp")
    picture(tmp_path / "b.avif")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    for name, kind in (("a.webp", "an animated WebP"), ("b.avif", "AVIF"), ("c.heic", "HEIC")):
        with pytest.raises(FootageError, match=f"is {kind}, which is not read; convert it"):
            open_footage(tmp_path / name)


def test_an_animated_avif_is_its_animation(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.avif", 5, (64, 48), codec="libsvtav1", options={"preset": "12"})
    with av.open(str(path)) as container:
        assert [s.frames for s in container.streams.video] == [1, 5]
    assert [frame.decoded for frame in open_footage(path).frames()] == [True] * 5


def test_a_picture_of_a_size_that_no_picture_has(tmp_path: Path) -> None:
    picture(tmp_path / "1.bmp")
    huge = b"BM" + bytes(12) + b"\x28\0\0\0" + b"\xff\xff\xff\x7f" * 2 + b"\1\0\x18\0" + bytes(40)
    (tmp_path / "2.bmp").write_bytes(huge)
    assert [f.decoded for f in open_footage(tmp_path).frames()] == [True, False]
