"""Losses between two pictures, pixel by pixel or window by window."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def l1(image: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of two (B,3,S,S) in [-1,1], in the founding code's [0,1] units."""
    return (image.float() - wanted.float()).abs().mean() / 2


def gaussian_window(size_px: int, sigma_px: float) -> Tensor:
    """(size_px,) weights of sum 1."""
    offset = torch.arange(size_px, dtype=torch.float32) - (size_px - 1) / 2
    weights = torch.exp(-(offset**2) / (2 * sigma_px**2))
    return weights / weights.sum()


def _blur(image: Tensor, window: Tensor) -> Tensor:
    channels = image.shape[1]
    row = window.to(image.device).view(1, 1, 1, -1).expand(channels, 1, 1, -1).contiguous()
    image = functional.conv2d(image, row, groups=channels)
    return functional.conv2d(image, row.transpose(2, 3).contiguous(), groups=channels)


def dssim(image: Tensor, wanted: Tensor, window_px: int = 11, sigma_px: float = 1.5) -> Tensor:
    """Structural dissimilarity, (1 - SSIM) / 2, of two (B,3,S,S) in [-1,1]: 0 equal, 1 opposite.

    Wang et al., "Image quality assessment: from error visibility to structural similarity"
    (2004), K1 = 0.01, K2 = 0.03, over the area where the whole Gaussian window fits.
    """
    window = gaussian_window(window_px, sigma_px)
    first, second = image.float(), wanted.float()
    both = torch.cat([first, second, first * first, second * second, first * second])
    mean1, mean2, square1, square2, product = _blur(both, window).chunk(5)
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    luminance = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
    variance1, variance2 = square1 - mean1**2, square2 - mean2**2
    structure = (2 * (product - mean1 * mean2) + c2) / (variance1 + variance2 + c2)
    return (1 - luminance * structure).mean() / 2
