"""Pictures on disk: read upright as RGB, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts.atomic import write_bytes
from likeness.contracts.errors import FootageError

U8 = npt.NDArray[np.uint8]
_PNG_LEVEL = 3
"""zlib level of PNGs: half the time of 6 for a few per cent more bytes."""


def read_image(path: Path) -> U8:
    """RGB uint8 (H,W,3) of a picture file, turned upright by its EXIF orientation.

    Sixteen-bit pictures are brought to eight, grey ones to three channels; alpha is dropped.

    Raises:
        FootageError: the file is missing or no picture that can be decoded.
    """
    step = "replace the picture"
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise FootageError(path, "does not exist", step) from None
    try:
        rgb = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except cv2.error:  # of a size that no picture has
        rgb = None
    if rgb is None:
        problem = "cannot be decoded as a picture" if data.size else "is empty (0 bytes)"
        raise FootageError(path, problem, step)
    return np.asarray(rgb, dtype=np.uint8)


def write_png(path: Path, rgb: U8) -> None:
    """Write an RGB picture uint8 (H,W,3) as PNG, atomically.

    Raises:
        FootageError: the picture has no px.
    """
    if not rgb.size:
        raise FootageError(path, "has no px to write", "report this")
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    written, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    if not written:
        raise FootageError(path, "cannot be encoded as PNG", "report this")
    write_bytes(path, data.tobytes())
