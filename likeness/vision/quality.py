"""Figures of one picture and differences between two: sharpness, perceptual hash, cuts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

SHARPNESS_WIDTH_PX = 512
THUMBNAIL_PX = 32
DETAIL_WIDTH_PX = 128
_LUMA_BINS = 32
_CHROMA_BINS = 16
_HASH_SIDE = 8


def sharpness(luma: U8, width_px: int = SHARPNESS_WIDTH_PX) -> float:
    """Variance of the Laplacian of luma (H,W) uint8, scaled to a width of `width_px`.

    The fixed width makes footage of different sizes comparable; small pictures are scaled up
    and come out as soft as they are. After Pech-Pacheco et al., "Diatom autofocusing in
    brightfield microscopy" (ICPR 2000). A picture without px has 0.
    """
    height, width = luma.shape
    if not height or not width:
        return 0.0
    if width != width_px:
        rows = max(round(height * width_px / width), 1)
        way = cv2.INTER_AREA if width > width_px else cv2.INTER_LINEAR
        luma = cv2.resize(luma, (width_px, rows), interpolation=way)
    edges = cv2.Laplacian(luma, cv2.CV_16S)
    deviation = cv2.meanStdDev(edges)[1]
    return float(deviation[0, 0] ** 2)


def _cosines() -> npt.NDArray[np.float64]:
    place = (2 * np.arange(THUMBNAIL_PX) + 1) / (2 * THUMBNAIL_PX)
    return np.cos(np.pi * np.arange(_HASH_SIDE)[:, None] * place[None])


_COSINES = _cosines()


def perceptual_hash(thumbnail: U8) -> int:
    """64 bits that change little when the picture does: signs of low cosine coefficients.

    The 8x8 lowest coefficients of the discrete cosine transform of the luma thumbnail
    (THUMBNAIL_PX square), each against their median (Zauner, "Implementation and benchmarking
    of perceptual image hash functions", 2010). Coefficients are rounded, so that a flat picture
    does not hash its rounding errors.
    """
    low = np.round(_COSINES @ thumbnail.astype(np.float64) @ _COSINES.T, 3).reshape(-1)
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_distance(first: int, second: int) -> int:
    """Number of bits that differ, 0 to 64."""
    return (first ^ second).bit_count()


@dataclass(frozen=True)
class Look:
    """What two frames are compared by.

    Attributes:
        detail: luma scaled to a width of DETAIL_WIDTH_PX, uint8.
        thumbnail: luma, uint8 (THUMBNAIL_PX, THUMBNAIL_PX).
        histogram: shares of luma and of both chroma planes per bin, float32, sum 3.
    """

    detail: U8
    thumbnail: U8
    histogram: F32


def _shares(plane: U8, bins: int) -> F32:
    counts = cv2.calcHist([plane], [0], None, [bins], [0, 256])
    return np.asarray(counts.reshape(-1) / max(plane.size, 1), np.float32)


def look_at(y: U8, u: U8, v: U8) -> Look:
    """Look of a frame given as 4:2:0 planes."""
    height, width = y.shape
    half = cv2.resize(y, (max(width // 2, 1), max(height // 2, 1)))
    fine = (DETAIL_WIDTH_PX, max(round(height * DETAIL_WIDTH_PX / width), 1))
    detail = cv2.resize(half, fine, interpolation=cv2.INTER_AREA)
    small = (THUMBNAIL_PX, THUMBNAIL_PX)
    thumbnail = cv2.resize(detail, small, interpolation=cv2.INTER_AREA)
    parts = (_shares(half, _LUMA_BINS), _shares(u, _CHROMA_BINS), _shares(v, _CHROMA_BINS))
    return Look(detail, thumbnail, np.concatenate(parts))


def shot_change(first: Look, second: Look) -> float:
    """How much two successive frames differ in content, 0 (equal) to 1.

    The geometric mean of what the histograms lose (half their L1 distance, over luma and
    chroma) and of what the thumbnails lose (1 - correlation, halved): a cut changes colours
    *and* arrangement, while movement changes mostly the arrangement and a flash the levels.
    A flat picture has no arrangement and counts as uncorrelated.
    """
    colours = float(np.abs(first.histogram - second.histogram).sum()) / 6
    one = first.thumbnail.astype(np.float64) - first.thumbnail.mean()
    other = second.thumbnail.astype(np.float64) - second.thumbnail.mean()
    length = float(np.sqrt((one**2).sum() * (other**2).sum()))
    likeness = float((one * other).sum()) / length if length > 1 else 0.0
    arrangement = (1 - likeness) / 2
    return float(np.sqrt(colours * max(arrangement, 0.0)))


def repeats(first: Look, second: Look, levels: int) -> bool:
    """True if the second picture shows the first again, but for traces of compression.

    No block of the detail (a few px of the picture) may differ by more than `levels`; a blink
    or a moving lip exceeds 10. Pictures of different sizes are no repeats.
    """
    if first.detail.shape != second.detail.shape:
        return False
    return int(cv2.absdiff(first.detail, second.detail).max()) <= levels
