"""Losses between two pictures, pixel by pixel or window by window."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.feature_network import exact


def l1(image: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference of two (B,3,S,S) in [-1,1], in the founding code's [0,1] units.

    Args:
        weight: (B,1,S,S) of each pixel, of mean 1; None counts all alike.
    """
    apart = (image.float() - wanted.float()).abs()
    return (apart if weight is None else apart * weight).mean() / 2


def emphasis(mask: Tensor, share: float) -> Tensor:
    """Weights (B,1,S,S) of mean 1 per picture: `share` of them inside the mask, the rest even.

    Args:
        mask: (B,1,S,S) in [0,1]; where it is almost empty the weights stay small.
        share: 0 all pixels alike, 1 the mask alone.
    """
    inside = mask / mask.mean(dim=(1, 2, 3), keepdim=True).clamp(min=0.05)
    return 1 - share + share * inside


def gaussian_window(size_px: int, sigma_px: float) -> Tensor:
    """(size_px,) weights of sum 1."""
    offset = torch.arange(size_px, dtype=torch.float32) - (size_px - 1) / 2
    weights = torch.exp(-(offset**2) / (2 * sigma_px**2))
    return weights / weights.sum()


def _filter(side_px: int, window: Tensor) -> Tensor:
    """(S-W+1, S) matrix that applies `window` at every place where all of it fits."""
    count = len(window)
    shifts = [functional.pad(window, (k, side_px - count - k)) for k in range(side_px - count + 1)]
    return torch.stack(shifts)


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _blur(side_px: int, window_px: int, sigma_px: float, device: torch.device) -> Tensor:
    """`_filter` of a Gaussian on a device: built of many small pieces, it is kept."""
    return _filter(side_px, gaussian_window(window_px, sigma_px)).to(device)


def dssim(
    image: Tensor,
    wanted: Tensor,
    weight: Tensor | None = None,
    *,
    window_px: int = 11,
    sigma_px: float = 1.5,
) -> Tensor:
    """Structural dissimilarity, (1 - SSIM) / 2, of two (B,3,S,S) in [0,1]: 0 equal, 1 opposite.

    Wang et al., "Image quality assessment: from error visibility to structural similarity"
    (2004), K1 = 0.01, K2 = 0.03, over the area where the whole Gaussian window fits. Intensities
    count from black: around a mid-grey of 0 the smallest shift of colour would look like noise.

    Args:
        weight: (B,1,S,S) of the windows by their middles, brought to mean 1 over these; None
            counts all alike.
    """
    # Variances are small differences of large means: bf16 would make them negative.
    with exact(image.device):
        first, second = image.float(), wanted.float()
        blur = _blur(first.shape[-1], window_px, sigma_px, first.device)
        parts = [first, second, first * first, second * second, first * second]
        # Two matrix products blur rows and columns; grouped convolutions are slow on a CPU.
        blurred = blur @ torch.stack(parts) @ blur.T
        mean1, mean2, square1, square2, product = blurred.unbind(0)
        c1, c2 = 0.01**2, 0.03**2
        luminance = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
        variances = square1 - mean1**2 + square2 - mean2**2
        structure = (2 * (product - mean1 * mean2) + c2) / (variances + c2)
        apart = 1 - luminance * structure
        if weight is not None:
            middle = slice(window_px // 2, window_px // 2 + apart.shape[-1])
            inner = weight[..., middle, middle]
            apart = apart * inner / inner.mean(dim=(1, 2, 3), keepdim=True).clamp(min=0.05)
        return apart.mean() / 2
