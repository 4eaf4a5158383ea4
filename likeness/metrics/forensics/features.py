"""What a swap may leave behind, as numbers of one face at the frame's own resolution.

Nothing is scaled: the pixels are those of the frame, so that a face made at 64 px and enlarged
lacks what its neighbourhood has. Three families, each measured on luma planes and a mask:

- radially averaged log power spectrum (Durall et al. 2020, arXiv 1911.00686),
- log energies of the bands of an 8x8 DCT (Frank et al. 2020, arXiv 2003.08685), inside the mask,
  and the same minus those outside,
- the rim of the mask, after the idea of the face X-ray (Li et al. 2020, arXiv 1912.13458) that two
  pictures joined differ in noise and meet in an edge: energy of a high-pass residual (Fridrich and
  Kodovsky 2012) inside against outside and across the outline, gradients and colour beside it.
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
    "gradient_border_inner",
    "gradient_border_outer",
    "colour_step",
)
NAMES = (
    *(f"spectrum_{i:02d}" for i in range(SPECTRUM_BINS)),
    *(f"dct_{i:02d}" for i in range(1, BANDS + 1)),
    *(f"dct_step_{i:02d}" for i in range(1, BANDS + 1)),
    *RIM,
)
_RESIDUAL = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], np.float32) / 4


def features(luma: Pixels, chroma: tuple[Pixels, Pixels], mask: Pixels) -> Values:
    """All features (len(NAMES),) of one face; nan where there is nothing to measure them on.

    Args:
        luma: (H,W) of a box of the frame around the face.
        chroma: U and V of that box, (H/2,W/2) each.
        mask: (H,W), 255 = replaced; both sides of the box at least `SMALLEST_PX`.
    """
    inside = mask >= 128
    bands, around = dct_bands(luma, inside), dct_bands(luma, mask == 0)
    return np.concatenate(
        [spectrum(luma), bands - bands.mean(), bands - around, _rim(luma, chroma, mask)]
    )


def spectrum(luma: Pixels) -> Values:
    """Log10 power by frequency, averaged over directions: (SPECTRUM_BINS,), mean taken out.

    Ring i holds the frequencies from i to i + 1 in units of 1 / (2 SPECTRUM_BINS) cycles per px, up
    to Nyquist. A Hann window keeps the box's own rim out of it; without the mean, contrast is no
    feature.
    """
    height, width = luma.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    # Black around it makes the sides products of 2, 3 and 5, and the transform quick.
    padded = np.zeros([cv2.getOptimalDFTSize(side) for side in luma.shape], np.float32)
    padded[:height, :width] = (luma - np.float32(luma.mean())) * window
    waves = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)[:, : padded.shape[1] // 2 + 1]
    power = (waves.astype(np.float64) ** 2).sum(axis=2).ravel()
    rings = _rings(*padded.shape)
    kept = rings < SPECTRUM_BINS
    count = np.bincount(rings[kept], minlength=SPECTRUM_BINS)
    total = np.bincount(rings[kept], power[kept], SPECTRUM_BINS)
    energy = total / np.maximum(count, 1) / float((window**2).sum())
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


def _rim(luma: Pixels, chroma: tuple[Pixels, Pixels], mask: Pixels) -> Values:
    """The features named in RIM, in that order."""
    inner, border, outer = seams.rings(mask, max(2, round(RIM_SHARE * max(mask.shape))))
    noise = residual(luma) ** 2
    edges = cv2.Sobel(luma, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(luma, cv2.CV_32F, 0, 1) ** 2
    within = noise[mask >= 250]
    in_ring, on_border, out_ring = (_energy(noise[ring]) for ring in (inner, border, outer))
    edge_inner, edge, edge_outer = (_energy(edges[ring]) for ring in (inner, border, outer))
    found = [
        _energy(within) - _energy(noise[mask == 0]),
        on_border - in_ring,
        on_border - out_ring,
        in_ring - out_ring,
        _kurtosis(within),
        *(_chroma_noise(plane, mask) for plane in chroma),
        edge - edge_inner,
        edge - edge_outer,
        _colour_step(luma, chroma, inner, outer),
    ]
    return np.array(found, np.float64)


def _energy(squares: npt.NDArray[np.float32]) -> float:
    """Log10 of the mean; nan for none."""
    return float(np.log10(squares.mean(dtype=np.float64) + FLOOR)) if squares.size else np.nan


def _kurtosis(squares: npt.NDArray[np.float32]) -> float:
    """Log10 of the fourth moment over the squared second: high where few pixels hold the detail."""
    if not squares.size:
        return np.nan
    second, fourth = squares.mean(dtype=np.float64), (squares**2).mean(dtype=np.float64)
    return float(np.log10((fourth + FLOOR) / (second + FLOOR) ** 2))


def _chroma_noise(plane: Pixels, mask: Pixels) -> float:
    small, squares = mask[::2, ::2], residual(plane) ** 2
    return _energy(squares[small >= 250]) - _energy(squares[small == 0])


def _colour_step(luma: Pixels, chroma: tuple[Pixels, Pixels], inner: Area, outer: Area) -> float:
    """Distance in Y, U, V between the means of both rings, grey levels; nan without them."""
    steps = []
    for plane in (luma, *chroma):
        step = 1 if plane is luma else 2
        near, far = (plane[ring[::step, ::step]] for ring in (inner, outer))
        if not (near.size and far.size):
            return np.nan
        steps.append(float(near.mean()) - float(far.mean()))
    return float(np.linalg.norm(steps))
