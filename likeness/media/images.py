"""Crops as JPEG in memory, by simplejpeg alone, so that training runs without OpenCV."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg

U8 = npt.NDArray[np.uint8]


def encode_jpeg(rgb: U8, quality: int = 92, subsampling: str = "444") -> bytes:
    """JPEG of an RGB picture uint8 (H,W,3).

    Args:
        rgb: the picture.
        quality: 1 to 100.
        subsampling: "444", "422" or "420".
    """
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(rgb), quality=quality, colorspace="RGB", colorsubsampling=subsampling
    )
    return data


def decode_jpeg(data: bytes) -> U8:
    """RGB uint8 (H,W,3) of a JPEG.

    Raises:
        ValueError: the bytes are no whole JPEG.
    """
    rgb: U8 = simplejpeg.decode_jpeg(data, colorspace="RGB")
    return rgb


def is_damaged_jpeg(data: bytes) -> bool:
    """Whether a decoder has to make up a part of a JPEG; False for other data, too."""
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    try:
        # All of its data are read; the smallest picture that can be made of them is the cheapest.
        simplejpeg.decode_jpeg(data, strict=True, min_height=1, min_width=1)
    except ValueError as error:
        return "corrupt" in str(error).lower() or "premature" in str(error).lower()
    return False
