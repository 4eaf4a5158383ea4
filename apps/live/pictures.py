"""A trained model on pictures, from Python: what a live run shows, one array after the other.

Everything that `likeness live` asks for is asked for here: consents before anything is opened, and
the mark on every picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from apps.live.opening import allow
from apps.live.request import Request, require_input
from apps.live.session import aligner_of, composer_of, maker, opened_both
from likeness.media.colour import yuv420_to_rgb


def swapped(request: Request) -> Iterator[npt.NDArray[np.uint8]]:
    """Every picture of the request's input with the model's face, uint8 RGB (H,W,3), in order.

    A picture without a face, or with one that cannot be placed, passes but for the mark; one that
    cannot be decoded is left out. Nothing is dropped, and nothing is written.

    Raises:
        LikenessError: no such model or input, a consent that does not hold, or no usable video.
    """
    require_input(request)
    with opened_both(request, allow(request)) as (opened, footage):
        composer = composer_of(request, opened, footage)
        find, make = aligner_of(request, opened, footage), maker(opened)
        for frame in footage.frames():
            if frame.decoded:
                face = find(frame, composer.space)
                planes = composer(frame, None if face is None else make(face))
                yield yuv420_to_rgb(planes, *composer.space)
