"""Makes small pieces of footage for tests, of every kind the pipeline meets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

U8 = npt.NDArray[np.uint8]
Size = tuple[int, int]
Picture = Callable[[int, Size], U8]


def corners(index: int, size: Size) -> U8:
    """Red, green, blue and white quarters (from top left, clockwise blue and white below).

    A bright square moves to the right with `index`, so no two frames are the same.
    """
    width, height = size
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = (200, 40, 40)
    rgb[: height // 2, width // 2 :] = (40, 200, 40)
    rgb[height // 2 :, : width // 2] = (40, 40, 200)
    rgb[height // 2 :, width // 2 :] = (200, 200, 200)
    side = max(min(width, height) // 6, 1)
    left = (4 * index) % max(width - side, 1)
    rgb[height // 2 - side // 2 : height // 2 + side - side // 2, left : left + side] = 245
    return rgb


def noise(index: int, size: Size) -> U8:
    """Smooth random colours, different in every frame."""
    width, height = size
    coarse = np.random.default_rng(index).integers(0, 256, (6, 8, 3))
    rows = np.linspace(0, 5, height).astype(int)
    columns = np.linspace(0, 7, width).astype(int)
    return np.ascontiguousarray(coarse[rows][:, columns].astype(np.uint8))


def _add_audio(container: Any, codec: str, rate: int) -> Any:
    stream = container.add_stream(codec, rate=rate)
    stream.layout = "mono"
    return stream


def _write_audio(container: Any, stream: Any, seconds: float) -> None:
    rate = stream.codec_context.sample_rate
    total, block = math.ceil(seconds * rate), 1152
    for start in range(0, total, block):
        place = np.arange(start, min(start + block, total))
        wave = (0.3 * np.sin(2 * np.pi * 440 * place / rate)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_clip(
    path: Path,
    frames: int = 12,
    size: Size = (96, 64),
    rate: Fraction | int = 25,
    *,
    audio: str | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    picture: Picture = corners,
    options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
) -> Path:
    """Write a video.

    Args:
        path: its suffix gives the container (.mp4, .mkv, .avi, .ts, .mov).
        frames: number of frames.
        size: width and height in px, as stored (before rotation).
        rate: frames per second.
        audio: "aac", "libmp3lame" or another encoder; None for a silent film.
        pts: time of each frame in `time_base`; evenly spaced if left out.
        time_base: seconds per unit; 1/rate if left out.
        rotation: degrees clockwise that a player must turn the picture to stand upright.
        pixel_format: of the encoder.
        codec: name of the encoder.
        picture: gives frame `index` as RGB.
        options: of the encoder; footage has B-frames unless told otherwise.
        tags: colorspace, color_range, color_primaries, color_trc (H.273 numbers).
    """
    base = time_base or 1 / Fraction(rate)
    timescale = str(base.denominator)
    container_options = {"video_track_timescale": timescale, "movie_timescale": timescale}
    with av.open(
        str(path), "w", options=container_options if path.suffix in {".mp4", ".mov"} else {}
    ) as container:
        settings = {"preset": "ultrafast", "bf": "2"} if codec == "libx264" else {}
        stream: Any = container.add_stream(
            codec, rate=Fraction(rate), options={**settings, **(options or {})}
        )
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.time_base = stream.codec_context.time_base = base
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(-rotation)
        sound = _add_audio(container, audio, 44100) if audio else None
        times = list(pts) if pts is not None else [_even(i, rate, base) for i in range(frames)]
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index, size), format="rgb24")
            frame = _converted(frame, pixel_format, tags or {})
            frame.pts, frame.time_base = times[index], base
            for name, value in (tags or {}).items():
                setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_audio(container, sound, frames / float(rate))
    return path


def _converted(frame: Any, pixel_format: str, tags: dict[str, int]) -> Any:
    """The frame in another format, by the matrix and range that its tags will state."""
    known = tags.get("colorspace", 2)
    return VideoReformatter().reformat(
        frame,
        format=pixel_format,
        dst_colorspace=known if known != 2 else None,
        dst_color_range=tags.get("color_range"),
    )


def _even(index: int, rate: Fraction | int, base: Fraction) -> int:
    return round(index / (Fraction(rate) * base))


def make_audio(path: Path, seconds: float = 1.0, codec: str = "aac") -> Path:
    """Write a file with sound and no picture."""
    with av.open(str(path), "w") as container:
        _write_audio(container, _add_audio(container, codec, 44100), seconds)
    return path


def make_stills(
    folder: Path,
    frames: int = 5,
    size: Size = (96, 64),
    suffix: str = ".png",
    picture: Picture = corners,
) -> Path:
    """Write a folder of stills named 0000.png, 0001.png, ..."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for index in range(frames):
        rgb = picture(index, size)
        cv2.imwrite(str(folder / f"{index:04d}{suffix}"), np.ascontiguousarray(rgb[..., ::-1]))
    return folder


def make_truncated(path: Path, keep: float = 0.6, **settings: Any) -> Path:
    """Write a clip whose index stands in front and whose last data is cut off."""
    whole = path.with_name("whole-" + path.name)
    with_index_first(make_clip(whole, **settings), path)
    data = path.read_bytes()
    media = data.find(b"mdat")
    path.write_bytes(data[: media + int((len(data) - media) * keep)])
    whole.unlink()
    return path


def with_index_first(clip: Path, path: Path) -> Path:
    """Copy an MP4 so that its index precedes its data, as on the web."""
    with (
        av.open(str(clip)) as source,
        av.open(str(path), "w", options={"movflags": "+faststart"}) as target,
    ):
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    return path


def make_clip_folder(folder: Path, clip: str = "test-clip", **keys: str) -> Path:
    """Write a clip.yaml in `folder`/`clip` and return its path."""
    path = folder / clip / "clip.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"clip": clip, "identity": "somebody", "role": "target", "consent": "somebody-test"}
    content |= {"licence": "made by a test", **keys}
    path.write_text("".join(f"{key}: {value}\n" for key, value in content.items()))
    return path


def packet_times(path: Path) -> list[int]:
    """Times of all video packets that are to be shown, in presentation order."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return sorted(p.pts for p in packets if p.size and not p.is_discard)


def audio_packets(path: Path) -> list[bytes]:
    """Bytes of all audio packets, stream by stream in order of the file."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [bytes(p) for p in container.demux(container.streams.audio) if p.size]
