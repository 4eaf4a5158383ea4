"""How every picture is encoded here: libx264's settings, and frames for it made of planes.

The render, and what is compared with it, go through the same lines, so that they differ in what
they show alone. The bytes depend on the number of the encoder's threads: it is fixed.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from likeness.media.colour import Planes

ENCODER_THREADS = 4
"""The same everywhere, whatever LIKENESS_THREADS says: it is a part of the result."""
_WHOLE_CHROMA = "yuv444p"


def encoder_options(crf: float, preset: str) -> dict[str, str]:
    """Options of libx264 for every picture that is encoded here."""
    # x264's macroblock tree gave other bytes from run to run on a CPU with AVX-512.
    return {"crf": f"{crf:g}", "preset": preset, "x264-params": "mbtree=0"}


def configure(context: Any, size: tuple[int, int], threads: int = ENCODER_THREADS) -> None:
    """Set an encoder up for pictures of `size` (width, height), px.

    Even sizes are 4:2:0; H.264 has none of odd size, and nothing is cropped or padded here.
    """
    context.width, context.height = width, height = size
    context.pix_fmt = _WHOLE_CHROMA if width % 2 or height % 2 else "yuv420p"
    context.thread_count = threads
    context.flags |= Flags.bitexact


def picture_of(planes: Planes, context: Any) -> Any:
    """A frame for an encoder that `configure` has set up.

    Args:
        planes: y (H,W), u and v (ceil(H/2), ceil(W/2)) uint8, of the encoder's size.
        context: the encoder.
    """
    width, height = context.width, context.height
    y, u, v = planes
    if context.pix_fmt == _WHOLE_CHROMA:
        u, v = (p.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for p in (u, v))
    picture = av.VideoFrame(width, height, context.pix_fmt)
    for plane, values in zip(picture.planes, (y, u, v), strict=True):
        rows, columns = values.shape
        stored = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        stored[:rows, :columns] = values
    return picture
