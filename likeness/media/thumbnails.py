"""Small pictures of large ones, for pages that show many; needs neither OpenCV nor a stage."""

from __future__ import annotations

import numpy as np
import simplejpeg

QUALITY = 78


def thumbnail(jpeg: bytes, width_px: int, height_share: float) -> bytes:
    """JPEG of the upper part of a picture, at the smallest scale of 1, 1/2, 1/4, 1/8 that will do.

    Args:
        jpeg: the picture.
        width_px: the result is at least this wide, unless the picture itself is narrower.
        height_share: most height of the result, as a share of its width.

    Raises:
        ValueError: the bytes are no whole JPEG.
    """
    rgb = simplejpeg.decode_jpeg(jpeg, colorspace="RGB", min_width=width_px)
    rows = min(max(round(rgb.shape[1] * height_share), 1), rgb.shape[0])
    part = np.ascontiguousarray(rgb[:rows])
    small: bytes = simplejpeg.encode_jpeg(
        part, quality=QUALITY, colorspace="RGB", colorsubsampling="420"
    )
    return small
