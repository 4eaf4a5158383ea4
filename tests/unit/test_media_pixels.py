"""RGB of every pixel format is what `ffmpeg -pix_fmt rgb24` gives, at coloured edges, too."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.format import names
from av.video.reformatter import Interpolation, VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from likeness.media.frame import StoredFrame
from likeness.media.planes import HALVED_FORMATS
from likeness.media.probe import Orientation, _colour
from tests.footage import make_clip

SIZE = (64, 48)
HOW = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
HARDWARE = {
    "amf", "cuda", "d3d11", "d3d11va_vld", "d3d12", "drm_prime", "dxva2_vld", "mediacodec", "mmal",
    "ohcodec", "opencl", "qsv", "vaapi", "vdpau", "videotoolbox_vld", "vulkan",
}  # fmt: skip
"""Pictures in the memory of a device; decoders give them only when asked for."""
UNREAD = {
    "bgr4", "gbrap32be", "gbrap32le", "gray32be", "gray32le", "rgb4", "rgb96be", "rgb96le",
    "rgba128be", "rgba128le", "rgbaf32be", "rgbaf32le", "v30xbe", "x2bgr10be", "x2rgb10be",
    "xv30be", "y210be", "y212be", "y216be", "yaf32be", "yaf32le",
}  # fmt: skip
"""What swscale of this version does not read: ffmpeg does not convert them either."""

UNSTORED = {
    "ayuv64be", "ayuv64le", "gbrp10msbbe", "gbrp10msble", "gbrp12msbbe", "gbrp12msble", "grayf16be",
    "grayf16le", "grayf32be", "nv16", "nv20be", "nv20le", "nv24", "nv42", "p010be", "p010le",
    "p012be", "p012le", "p016be", "p016le", "p210be", "p210le", "p212be", "p212le", "p216be",
    "p216le", "p410be", "p410le", "p412be", "p412le", "p416be", "p416le", "rgbaf16be", "rgbaf16le",
    "rgbf16be", "rgbf16le", "rgbf32be", "rgbf32le", "vuyx", "x2bgr10le", "x2rgb10le", "xv36be",
    "xv36le", "xv48be", "y212le", "yaf16be", "yaf16le", "yuv440p10be", "yuv440p12be",
    "yuv444p10msbbe", "yuv444p10msble", "yuv444p12msbbe", "yuv444p12msble", "yuvj411p", "yuvj440p",
}  # fmt: skip
"""What no encoder here writes so that a decoder gives it back; tried as a frame without a file."""


def edges() -> np.ndarray:
    """Colours (H,W,3) that change from px to px, at odd places; and some noise."""
    rgb = np.full((SIZE[1], SIZE[0], 3), (200, 30, 40), np.uint8)
    rgb[:, 21:40] = (20, 60, 220)
    rgb[17:30, 10:51] = (30, 220, 60)
    rgb[31:47, 5:60] = np.random.default_rng(0).integers(0, 256, (16, 55, 3))
    return rgb


def made(name: str) -> Any:
    """A frame of a format: of the edges where swscale writes it, else of noise in its planes."""
    frame = av.VideoFrame.from_ndarray(edges(), format="rgb24")
    try:
        return VideoReformatter().reformat(frame, format=name, interpolation=HOW)
    except av.FFmpegError:
        frame, noise = av.VideoFrame(*SIZE, name), np.random.default_rng(1)
    for plane in frame.planes:
        stored = np.frombuffer(plane, np.uint8)
        values = noise.integers(0, 256, stored.size)
        if "f16" in name or "f32" in name:  # between 0 and 1, in either order of bytes
            values = np.full(stored.size, 0x38)
        stored[:] = values
    return frame


def as_filtered(frame: Any) -> np.ndarray:
    """RGB (H,W,3) by the filter graph that `ffmpeg -pix_fmt rgb24` sets up, with its defaults."""
    graph = av.filter.Graph()
    graph.threads = 1  # Bayer patterns are read anew at the border of each part of a picture
    start = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    steps = start, graph.add("scale"), graph.add("format", "rgb24"), graph.add("buffersink")
    graph.link_nodes(*steps).configure()
    graph.push(frame)
    picture = graph.pull()
    assert picture.planes[0].line_size > 0
    plane = np.frombuffer(picture.planes[0], np.uint8).reshape(-1, picture.planes[0].line_size)
    return plane[: picture.height, : 3 * picture.width].reshape(picture.height, -1, 3)


def encoders(name: str) -> Iterator[tuple[str, str]]:
    """Codecs and containers that may store a format, lossless ones first."""
    yield from (("rawvideo", ".nut"), ("ffv1", ".mkv"), ("rawvideo", ".mov"), ("rawvideo", ".avi"))
    for codec in sorted(av.codecs_available):
        try:
            found = av.codec.Codec(codec, "w")
        except ValueError:  # only a decoder
            continue
        if name in {known.name for known in found.video_formats or ()}:
            yield from ((codec, ".mkv"), (codec, ".mov"), (codec, ".nut"))


def stored(folder: Path, name: str, frame: Any) -> Path | None:
    """A film of one frame whose decoder gives this format; None where nothing stores it."""
    for codec, suffix in encoders(name):
        path = folder / f"{codec}{suffix}"
        try:
            with av.open(str(path), "w") as container:
                stream: Any = container.add_stream(codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, name
                frame.pts = 0
                for packet in (*stream.encode(frame), *stream.encode(None)):
                    container.mux(packet)
            with av.open(str(path)) as container:
                if next(container.decode(video=0)).format.name == name:
                    return path
        except (av.FFmpegError, ValueError, StopIteration):
            continue
    return None


def compare(mine: np.ndarray, theirs: np.ndarray) -> int:
    """The greatest difference, levels."""
    return int(np.abs(mine.astype(int) - theirs).max())


@pytest.mark.parametrize("name", sorted(set(names) - HARDWARE))
def test_every_format_is_ffmpegs(name: str, tmp_path: Path) -> None:
    frame = made(name)
    path = stored(tmp_path, name, frame)
    if path is None:  # no encoder here: as a decoder would hand it over
        film = make_clip(tmp_path / "any.mp4", 1, SIZE)
        footage: Any = open_footage(film)
        footage.facts.update(_colour(frame))
        mine = StoredFrame(
            footage, 0, 0, frame, orientation=Orientation(), reformatter=VideoReformatter()
        )
    else:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        footage = open_footage(path)
        mine = next(footage.frames())
    if name in UNREAD:
        with pytest.raises(FootageError, match="cannot be converted"):
            mine.rgb()
        return
    # 8-bit 4:2:0 is converted in integers of OpenCV, whose results stay as they were.
    most = 3 if name in HALVED_FORMATS else 1
    theirs = as_filtered(frame)
    assert compare(mine.rgb(), theirs) <= most
    region = compare(mine.region_rgb(11, 7, 40, 31), mine.rgb()[7:31, 11:40])
    assert region <= (2 if name in HALVED_FORMATS else 0)
    assert [plane.shape for plane in mine.planes()] == [(48, 64), (24, 32), (24, 32)]


def test_a_film_stored_upside_down(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "film.nut", 1, (64, 48), codec="amv", pixel_format="yuvj420p")
    with av.open(str(path)) as container:
        stored_frame = next(container.decode(video=0))
        assert stored_frame.planes[0].line_size < 0
        theirs = as_filtered(stored_frame)
    frame = next(open_footage(path).frames())
    assert compare(frame.rgb(), theirs) <= 3
    assert frame.rgb()[4, 4].argmax() == 0  # red is on top
    assert frame.luma().shape == (48, 64)


@pytest.mark.parametrize("name", ["yuv422p", "yuv444p", "yuvj422p"])
def test_films_of_finer_footage_keep_its_luma(name: str, tmp_path: Path) -> None:
    """Lossless, what nothing is laid on is as stored: luma to the level, chroma as ffmpeg's."""
    codec = "mjpeg" if name.startswith("yuvj") else "ffv1"
    path = make_clip(
        tmp_path / "film.mkv", 2, SIZE, codec=codec, pixel_format=name,
        picture=lambda _index, _size: edges(),
    )  # fmt: skip
    footage = open_footage(path)
    both = 2 if name.startswith("yuvj") else 1
    known = {"src_color_range": both, "dst_color_range": both}
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        smaller = [
            VideoReformatter().reformat(f, format="yuv420p", interpolation=HOW, **known)
            for f in frames
        ]
    with VideoWriter(tmp_path / "out.mp4", footage, crf=0) as writer:
        for frame in footage.frames():
            writer.write(*frame.planes(), frame.pts)
    shown = open_footage(tmp_path / "out.mp4").frames()
    for mine, stored_frame, small in zip(shown, frames, smaller, strict=True):
        assert np.array_equal(mine.luma(), stored_values(stored_frame)[0])
        for chroma, theirs in zip(mine.planes()[1:], stored_values(small)[1:], strict=True):
            assert compare(chroma, theirs) <= 1


def stored_values(frame: Any) -> list[np.ndarray]:
    """Planes of an 8-bit frame as the decoder gave them."""
    whole = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size) for p in frame.planes]
    return [w[: p.height, : p.width].copy() for w, p in zip(whole, frame.planes, strict=True)]


def test_most_formats_come_from_a_file(tmp_path: Path) -> None:
    without = set()
    for name in set(names) - HARDWARE - UNREAD:
        (tmp_path / name).mkdir()
        if stored(tmp_path / name, name, made(name)) is None:
            without.add(name)
    assert without == UNSTORED


CODECS = {"uyvy422": ("rawvideo", ".mov"), "gbrp": ("utvideo", ".avi")}


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="compares with the program ffmpeg")
@pytest.mark.parametrize("name", ["uyvy422", "yuv422p", "yuv444p", "gbrp", "gray", "yuv422p10le"])
@pytest.mark.parametrize("space", [1, 5, 9])
def test_films_as_the_program_reads_them(name: str, space: int, tmp_path: Path) -> None:
    codec, suffix = CODECS.get(name, ("ffv1", ".mkv"))
    path = make_clip(
        tmp_path / f"film{suffix}", 3, SIZE, codec=codec, pixel_format=name,
        picture=lambda _index, _size: edges(), tags={"colorspace": space, "color_range": 1},
    )  # fmt: skip
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    theirs = np.frombuffer(
        subprocess.run(command, capture_output=True, check=True).stdout, np.uint8
    )
    mine = np.stack([frame.rgb() for frame in open_footage(path).frames()])
    assert compare(mine, theirs.reshape(mine.shape)) <= 1
