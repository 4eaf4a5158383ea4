"""A video through the render's encoder and back in a stream: the codec's mark and nothing else.

What is compared with a render must have been encoded as the render was, or else the difference
that is measured is that of the codec. The frames are those that `VideoWriter` would have stored,
without the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media.colour import Planes
from likeness.media.container import encoder_faults, named_faults
from likeness.media.encode import ENCODER_THREADS, Described, encoder_options
from likeness.media.planes import stored_planes

_STREAM = Path("H.264")


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
    encoder = _encoder(facts, crf, preset)
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
        with encoder_faults(_STREAM, "cannot be encoded"):
            packets = encoder.encode(_picture(planes, encoder, pts * per_unit))
        yield from packets
    with encoder_faults(_STREAM, "cannot be encoded"):
        packets = encoder.encode(None)
    yield from packets
    yield None


def _encoder(facts: dict[str, Any], crf: float, preset: str) -> Any:
    context: Any = av.CodecContext.create("libx264", "w")
    width, height = facts["width_px"], facts["height_px"]
    context.width, context.height = width, height
    # As VideoWriter: H.264 has no 4:2:0 of odd size.
    context.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    context.framerate = Fraction(*facts["average_rate"])
    context.time_base = Fraction(1, facts["time_base"][1])
    context.thread_count = ENCODER_THREADS
    context.flags |= Flags.bitexact
    context.options = encoder_options(crf, preset)
    return context


def _picture(planes: Planes, encoder: Any, pts: int) -> Any:
    width, height = encoder.width, encoder.height
    y, u, v = planes
    if encoder.pix_fmt == "yuv444p":
        u, v = (p.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for p in (u, v))
    picture = av.VideoFrame(width, height, encoder.pix_fmt)
    for stored, values in zip(picture.planes, (y, u, v), strict=True):
        rows, columns = values.shape
        np.frombuffer(stored, np.uint8).reshape(-1, stored.line_size)[:rows, :columns] = values
    picture.pts, picture.time_base = pts, encoder.time_base
    return picture
