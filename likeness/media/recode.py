"""A few frames through the encoder and back, in memory: what encoding alone does to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags

from likeness.contracts.errors import FootageError
from likeness.media.colour import Planes
from likeness.media.container import encoder_faults, named_faults
from likeness.media.encode import Described, encoder_options
from likeness.media.footage import Footage, Frame
from likeness.media.planes import plane_view

U8 = npt.NDArray[np.uint8]


class PlanesFrame(Frame):
    """A frame of given planes that stands in for frame `frame_index` of `footage`."""

    def __init__(self, footage: Footage, frame_index: int, pts: int, planes: Planes) -> None:
        super().__init__(footage, frame_index, pts)
        self.decoded = True
        self._planes = planes


def encoded(frames: Sequence[Planes], model: Described, crf: float, preset: str) -> bytes:
    """Frames as one stream of H.264 with the render's settings, the first one a key frame.

    Args:
        frames: y (H,W), u and v (ceil(H/2), ceil(W/2)) uint8 each, all of one size; at least one.
        model: gives the frame rate.
        crf: constant rate factor of libx264.
        preset: of libx264.
    """
    height, width = frames[0][0].shape
    rate = Fraction(*model.facts["average_rate"])
    encoder = _encoder(width, height, rate, crf, preset)
    with encoder_faults(model.path, "cannot be encoded"):
        packets = [
            packet
            for i, planes in enumerate(frames)
            for packet in encoder.encode(_picture(planes, i))
        ]
        packets += encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)


def decoded(stream: bytes, count: int) -> list[Planes]:
    """The frames of a stream that `encoded` wrote, of the shapes they had.

    Raises:
        FootageError: the decoder gave back another number of frames than `count`.
    """
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    with named_faults(Path("H.264"), "cannot be decoded after encoding", "run `dvc repro`"):
        packets = [*decoder.parse(stream), *decoder.parse(b""), None]
        pictures = [picture for packet in packets for picture in decoder.decode(packet)]
    if len(pictures) != count:
        problem = f"gave back {len(pictures)} of {count} frames after encoding"
        raise FootageError("H.264", problem, "run `dvc repro`")
    return [_planes(picture) for picture in pictures]


def _encoder(width: int, height: int, rate: Fraction, crf: float, preset: str) -> Any:
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height = width, height
    context.pix_fmt = _format(width, height)
    context.framerate, context.time_base = rate, 1 / rate
    # One thread: a few frames gain nothing by more, and the bytes hang on their number.
    context.thread_count = 1
    context.flags |= Flags.bitexact
    context.options = encoder_options(crf, preset)
    return context


def _format(width: int, height: int) -> str:
    """As the render's: H.264 has no 4:2:0 of odd size."""
    return "yuv444p" if width % 2 or height % 2 else "yuv420p"


def _picture(planes: Planes, index: int) -> Any:
    height, width = planes[0].shape
    name = _format(width, height)
    y, u, v = planes
    if name == "yuv444p":
        u, v = (p.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for p in (u, v))
    picture = av.VideoFrame(width, height, name)
    for stored, values in zip(picture.planes, (y, u, v), strict=True):
        rows, columns = values.shape
        np.frombuffer(stored, np.uint8).reshape(-1, stored.line_size)[:rows, :columns] = values
    picture.pts = index
    return picture


def _planes(picture: Any) -> Planes:
    width, height = picture.width, picture.height
    whole = picture.format.name == "yuv444p"
    half = (width, height) if whole else (width // 2, height // 2)
    y, u, v = picture.planes
    planes = plane_view(y, width, height), plane_view(u, *half), plane_view(v, *half)
    if not whole:
        return planes
    return planes[0], planes[1][::2, ::2], planes[2][::2, ::2]
