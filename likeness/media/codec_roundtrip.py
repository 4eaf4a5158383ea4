"""Frames through the render's encoder and back: the codec's mark on them and nothing else.

What is compared with a render must have been encoded as the render was, or else the difference
that is measured is that of the codec. `through_encoder` takes a film of any length as a stream;
`encoded` and `decoded` take a few frames that stand by themselves. Neither writes a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media.colour import Planes
from likeness.media.container import encoder_faults, named_faults, require_room
from likeness.media.footage import Footage
from likeness.media.frame import Described, Frame
from likeness.media.h264 import ENCODER_THREADS, configure, encoder_options, picture_of
from likeness.media.planes import plane_view, stored_planes

U8 = npt.NDArray[np.uint8]
_STREAM = Path("H.264")


class PlanesFrame(Frame):
    """A frame of given planes that stands in for frame `frame_index` of `footage`."""

    def __init__(self, footage: Footage, frame_index: int, pts: int, planes: Planes) -> None:
        super().__init__(footage, frame_index, pts)
        self.decoded = True
        self._planes = planes


def through_encoder(
    frames: Iterable[tuple[Planes, int]], footage: Described, crf: float, preset: str
) -> Iterator[Planes]:
    """Encode as `VideoWriter` does, decode at once.

    Memory holds what the encoder looks ahead, whatever the length.

    Args:
        frames: y (H,W), u and v (ceil(H/2), ceil(W/2)) uint8, each with its pts, rising.
        footage: gives size, rate and time base.
        crf: constant rate factor of libx264.
        preset: of libx264.

    Yields:
        As many frames of the same shapes.

    Raises:
        FootageError: the decoder gave back another number of frames.
    """
    facts = footage.facts
    size, rate = (facts["width_px"], facts["height_px"]), Fraction(*facts["average_rate"])
    encoder = _encoder(size, rate, crf, preset, threads=ENCODER_THREADS)
    encoder.time_base = Fraction(1, facts["time_base"][1])
    decoder: Any = av.CodecContext.create("h264", "r")
    per_unit, reformatter = facts["time_base"][0], VideoReformatter()
    given = returned = 0
    for packet in _packets(frames, encoder, per_unit):
        given += packet is not None
        with named_faults(footage.path, "cannot be decoded after encoding", "report this"):
            pictures = decoder.decode(packet)
        for picture in pictures:
            returned += 1
            yield stored_planes(picture, facts, reformatter)
    if given != returned:
        problem = f"gave back {returned} of {given} frames after encoding"
        raise FootageError(footage.path, problem, "report this")


def _packets(
    frames: Iterable[tuple[Planes, int]], encoder: Any, per_unit: int
) -> Iterator[Any | None]:
    """One packet per frame, late by what the encoder looks ahead, then None."""
    for planes, pts in frames:
        with encoder_faults(_STREAM, "cannot be encoded", encoder):
            packets = encoder.encode(_picture(planes, encoder, pts * per_unit))
        yield from packets
    with encoder_faults(_STREAM, "cannot be encoded", encoder):
        packets = encoder.encode(None)
    yield from packets
    yield None


def encoded(frames: Sequence[Planes], model: Described, crf: float, preset: str) -> bytes:
    """Frames as one stream of H.264 with the render's settings, the first one a key frame.

    Args:
        frames: y (H,W), u and v (ceil(H/2), ceil(W/2)) uint8 each, all of one size; at least one.
        model: gives the frame rate.
        crf: constant rate factor of libx264.
        preset: of libx264.
    """
    height, width = frames[0][0].shape
    # One thread: a few frames gain nothing by more, and the bytes hang on their number.
    rate = Fraction(*model.facts["average_rate"])
    encoder = _encoder((width, height), rate, crf, preset, threads=1)
    with encoder_faults(model.path, "cannot be encoded", encoder):
        packets = [
            packet
            for i, planes in enumerate(frames)
            for packet in encoder.encode(_picture(planes, encoder, i))
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
    with named_faults(_STREAM, "cannot be decoded after encoding", "run `dvc repro`"):
        packets = [*decoder.parse(stream), *decoder.parse(b""), None]
        pictures = [picture for packet in packets for picture in decoder.decode(packet)]
    if len(pictures) != count:
        problem = f"gave back {len(pictures)} of {count} frames after encoding"
        raise FootageError("H.264", problem, "run `dvc repro`")
    return [_planes(picture) for picture in pictures]


def _encoder(size: tuple[int, int], rate: Fraction, crf: float, preset: str, threads: int) -> Any:
    """An encoder of pictures (width, height), without a file."""
    require_room(*size)
    context: Any = av.CodecContext.create("libx264", "w")
    configure(context, size, threads)
    context.framerate, context.time_base = rate, 1 / rate
    context.options = encoder_options(crf, preset)
    return context


def _picture(planes: Planes, encoder: Any, pts: int) -> Any:
    picture = picture_of(planes, encoder)
    picture.pts, picture.time_base = pts, encoder.time_base
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
