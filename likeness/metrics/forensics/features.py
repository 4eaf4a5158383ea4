"""What a swap may leave behind, as numbers of one face at the frame's own resolution.

Nothing is scaled: the pixels are those of the frame, so that a face made at 64 px and enlarged
lacks what its neighbourhood has. Three families, each measured on luma planes and a mask:

- radially averaged log power spectrum (Durall et al. 2020, arXiv 1911.00686),
- log energies of the bands of an 8x8 DCT (Frank et al. 2020, arXiv 2003.08685), inside the mask,
  and the same minus those outside,
- the rim of the mask, after the idea of the face X-ray (Li et al. 2020, arXiv 1912.13458) that two
  pictures joined differ in noise and meet in an edge: energy of a high-pass residual (Fridrich and
  Kodovsky 2012) inside against outside and across the outline, gradients and colour along it.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from likeness.metrics import seams

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Area = npt.NDArray[np.bool_]

SPECTRUM_BINS = 16
BLOCK_PX = 8
BANDS = 2 * BLOCK_PX - 2
"""Diagonals u + v = 1 ... 14 of a block; 0 is its mean."""
SMALLEST_PX = 2 * SPECTRUM_BINS
"""Side below which not every ring of the spectrum has a sample."""
RIM_SHARE = 0.015
"""Width of the rings along the outline, share of the box's longer side; at least 2 px."""
FLOOR = 1e-3
"""Added to energies (squared grey levels) before the logarithm: flat areas stay finite."""
RIM = (
    "residual_inside_outside",
    "residual_border_inner",
    "residual_border_outer",
    "residual_inner_outer",
    "residual_kurtosis",
    "residual_u_inside_outside",
    "residual_v_inside_outside",
    "gradient_ratio",
    "boundary_delta_e",
)
NAMES = (
    *(f"spectrum_{i:02d}" for i in range(SPECTRUM_BINS)),
    *(f"dct_{i:02d}" for i in range(1, BANDS + 1)),
    *(f"dct_step_{i:02d}" for i in range(1, BANDS + 1)),
    *RIM,
)
_RESIDUAL = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], np.float32) / 4


def features(luma: Pixels, chroma: tuple[Pixels, Pixels], rgb: Pixels, mask: Pixels) -> Values:
    """All features (len(NAMES),) of one face; nan where there is nothing to measure them on.

    Args:
        luma: (H,W) of a box of the frame around the face.
        chroma: U and V of that box, (H/2,W/2) each.
        rgb: (H,W,3), the same box.
        mask: (H,W), 255 = replaced; both sides of the box at least `SMALLEST_PX`.
    """
    inside = mask >= 128
    bands, around = dct_bands(luma, inside), dct_bands(luma, mask == 0)
    return np.concatenate(
        [spectrum(luma), bands - bands.mean(), bands - around, _rim(luma, chroma, rgb, mask)]
    )


def spectrum(luma: Pixels) -> Values:
    """Log10 power by frequency, averaged over directions: (SPECTRUM_BINS,), mean taken out.

    Ring i holds the frequencies from i to i + 1 in units of 1 / (2 SPECTRUM_BINS) cycles per px, up
    to Nyquist. A Hann window keeps the box's own rim out of it; without the mean, contrast is no
    feature.
    """
    height, width = luma.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    waves = np.fft.rfft2((luma - luma.mean()) * window)
    power = (waves.real**2 + waves.imag**2).ravel()
    rings = _rings(height, width)
    kept = rings < SPECTRUM_BINS
    count = np.bincount(rings[kept], minlength=SPECTRUM_BINS)
    total = np.bincount(rings[kept], power[kept], SPECTRUM_BINS)
    energy = total / np.maximum(count, 1) / (window**2).sum()
    levels = np.log10(energy + FLOOR)
    return np.asarray(levels - levels.mean(), np.float64)


@cache
def _rings(height: int, width: int) -> npt.NDArray[np.int64]:
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return (radius * 2 * SPECTRUM_BINS).astype(np.int64).ravel()


@cache
def _cosines() -> Values:
    """Orthonormal DCT-II matrix (8,8)."""
    place = (2 * np.arange(BLOCK_PX) + 1)[None] * np.arange(BLOCK_PX)[:, None]
    matrix = np.cos(np.pi * place / (2 * BLOCK_PX)) * np.sqrt(2 / BLOCK_PX)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)


def dct_bands(luma: Pixels, area: Area) -> Values:
    """Log10 of the mean energy of each diagonal band (BANDS,) over the blocks that lie in `area`.

    nan where no block lies in it as a whole.
    """
    rows, columns = (side // BLOCK_PX for side in luma.shape)
    whole = _blocks(area.astype(np.uint8), rows, columns).all(axis=(1, 2))
    if not whole.any():
        return np.full(BANDS, np.nan)
    blocks = _blocks(luma, rows, columns)[whole].astype(np.float64)
    energy = ((_cosines() @ blocks @ _cosines().T) ** 2).mean(axis=0)
    bands = np.add.outer(np.arange(BLOCK_PX), np.arange(BLOCK_PX)).ravel()
    summed = np.bincount(bands, energy.ravel()) / np.bincount(bands)
    return np.log10(summed[1:] + FLOOR)


def _blocks(plane: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    cut = plane[: rows * BLOCK_PX, : columns * BLOCK_PX]
    grid = cut.reshape(rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(1, 2)
    return grid.reshape(-1, BLOCK_PX, BLOCK_PX)


def residual(plane: Pixels) -> npt.NDArray[np.float32]:
    """What a pixel's neighbours do not foretell (H,W): a second difference both ways."""
    return np.asarray(cv2.filter2D(plane, cv2.CV_32F, _RESIDUAL), np.float32)


def _energy(squares: npt.NDArray[np.float32], area: Area) -> float:
    return float(np.log10(squares[area].mean(dtype=np.float64) + FLOOR)) if area.any() else np.nan


def _rim(luma: Pixels, chroma: tuple[Pixels, Pixels], rgb: Pixels, mask: Pixels) -> Values:
    """The features named in RIM, in that order."""
    width = max(2, round(RIM_SHARE * max(mask.shape)))
    around = seams.rings(mask, width)
    inner, border, outer = around
    noise = residual(luma)
    squares = noise**2
    within, beyond = _energy(squares, mask >= 250), _energy(squares, mask == 0)
    in_ring, on_border, out_ring = (_energy(squares, ring) for ring in (inner, border, outer))
    found = [
        within - beyond,
        on_border - in_ring,
        on_border - out_ring,
        in_ring - out_ring,
        _kurtosis(noise[mask >= 250]),
        *(_chroma_step(plane, mask) for plane in chroma),
        np.log10(max(seams.gradient_ratio(rgb, around), FLOOR)),
        seams.boundary_delta_e(rgb, around, width),
    ]
    return np.array(found, np.float64)


def _chroma_step(plane: Pixels, mask: Pixels) -> float:
    small = cv2.resize(mask, plane.shape[::-1], interpolation=cv2.INTER_AREA)
    squares = residual(plane) ** 2
    return _energy(squares, small >= 250) - _energy(squares, small == 0)


def _kurtosis(noise: npt.NDArray[np.float32]) -> float:
    """Log10 of the fourth moment over the squared second: high where few pixels hold the detail."""
    if not noise.size:
        return float("nan")
    values = noise.astype(np.float64)
    second, fourth = (values**2).mean(), (values**4).mean()
    return float(np.log10((fourth + FLOOR) / (second + FLOOR) ** 2))
