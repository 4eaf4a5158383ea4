"""Crops as JPEG, pictures on disk, and frames exported for a person."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.contracts.errors import FootageError
from likeness.media import export
from likeness.media.footage import open_footage
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.media.pictures import read_image, write_png
from tests.footage import corners, make_clip, make_truncated, noise


def test_jpeg_round_trip_keeps_colour_order() -> None:
    rgb = corners(0, (256, 256))
    data = encode_jpeg(rgb, quality=92)
    back = decode_jpeg(data)
    assert np.abs(back.astype(int) - rgb).mean() < 2
    assert tuple(back[10, 10]) == pytest.approx((200, 40, 40), abs=4)
    assert len(encode_jpeg(rgb, quality=60)) < len(data)
    assert data == encode_jpeg(rgb, quality=92)


def test_jpeg_of_a_view_that_is_not_contiguous() -> None:
    rgb = noise(3, (64, 64))
    assert encode_jpeg(rgb[::2, ::2]) == encode_jpeg(np.ascontiguousarray(rgb[::2, ::2]))


def test_broken_jpeg_is_refused() -> None:
    with pytest.raises(ValueError, match="JPEG"):
        decode_jpeg(b"no picture")


def test_training_reads_crops_without_opencv(repository: Path) -> None:
    code = (
        "import sys; from likeness.media.images import decode_jpeg, encode_jpeg; import numpy;"
        "decode_jpeg(encode_jpeg(numpy.zeros((8, 8, 3), 'uint8')));"
        "sys.exit('cv2' in sys.modules or 'av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


def test_looking_at_a_file_needs_no_opencv(repository: Path) -> None:
    code = "import sys; import likeness.media.probe; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


def test_png_round_trip_is_exact(tmp_path: Path) -> None:
    rgb = noise(1, (33, 21))
    write_png(tmp_path / "a.png", rgb)
    assert np.array_equal(read_image(tmp_path / "a.png"), rgb)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_pictures_of_other_depths_are_eight_bit_rgb(tmp_path: Path) -> None:
    grey = np.full((8, 9), 30000, np.uint16)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    alpha = np.full((8, 9, 4), (10, 20, 30, 0), np.uint8)
    cv2.imwrite(str(tmp_path / "alpha.png"), alpha)
    assert np.all(np.abs(read_image(tmp_path / "grey.png").astype(int) - 117) <= 1)
    assert tuple(read_image(tmp_path / "alpha.png")[0, 0]) == (30, 20, 10)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_unreadable_pictures_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(FootageError, match=r"a\.jpg: (is empty|cannot be decoded)"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(FootageError, match="does not exist"):
        read_image(tmp_path / "b.jpg")


def test_export_writes_upright_frames_by_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 20, rotation=90, rate=10)
    out = tmp_path / "deep" / "out"
    arguments = [str(clip), str(out), "--every", "3", "--start", "0.5", "--end", "1.6"]
    assert export.main(arguments) == 0
    names = ["000006.png", "000009.png", "000012.png", "000015.png"]
    assert sorted(p.name for p in out.iterdir()) == names
    frame = next(open_footage(clip).frames([9]))
    assert np.array_equal(read_image(out / "000009.png"), frame.rgb())
    assert f"4 frames written to {out}" in capsys.readouterr().out


def test_export_counts_what_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_truncated(tmp_path / "clip.mp4", frames=30, size=(160, 120), picture=noise)
    assert export.main([str(clip), str(tmp_path / "out")]) == 0
    lost = sum(not f.decoded for f in open_footage(clip).frames())
    assert f"{30 - lost} frames written" in (text := capsys.readouterr().out)
    assert f"{lost} cannot be decoded" in text


def test_export_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert export.main([str(tmp_path / "clip.mp4"), str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {tmp_path / 'clip.mp4'}: is empty")
    assert not (tmp_path / "out").exists()
