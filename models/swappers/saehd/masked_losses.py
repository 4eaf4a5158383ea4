"""Losses of pictures in [0,1] that count what a mask shows, as DeepFaceLab's SAEHD weighs them.

Where the paper (Perov et al. 2020, arXiv 2005.05535) gives no figure, its code's is taken.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.gaussian_blur import blur
from models.losses.pixels import dssim

WINDOW = 11.6
"""A picture's side, in sides of the window of DSSIM."""
FINE_FROM_PX = 256
"""Side from which half of DSSIM is that of a window of half the side."""
EYES_MOUTH = 300.0
STYLE = 10_000.0


def softened(mask: Tensor) -> Tensor:
    """Mask (B,1,S,S) grown and faded by a Gaussian of S/32 px: 1 as far as its old edge."""
    soft = blur(mask.float(), max(1, mask.shape[-1] // 32))
    return soft.clamp(0, 0.5) * 2


def structure(image: Tensor, wanted: Tensor) -> Tensor:
    """10 DSSIM with a window of S / 11.6; from 256 px 5 of it and 5 with half the window."""
    side = image.shape[-1]
    wide = dssim(image, wanted, window_px=max(1, int(side / WINDOW)))
    if side < FINE_FROM_PX:
        return 10 * wide
    return 5 * wide + 5 * dssim(image, wanted, window_px=int(side / (2 * WINDOW)))


def squares(image: Tensor, wanted: Tensor) -> Tensor:
    """10 mean squared differences."""
    return 10 * (image - wanted).square().mean()


def priority(image: Tensor, wanted: Tensor, parts: Tensor) -> Tensor:
    """300 mean absolute differences where `parts` (B,1,S,S) shows eyes and mouth."""
    return EYES_MOUTH * ((image - wanted).abs() * parts).mean()


def style(image: Tensor, wanted: Tensor) -> Tensor:
    """10,000 squared differences of each channel's mean and deviation, blurred by S/8 px.

    Both (B,3,S,S) in [0,1] are 0 outside their masks. The mean over channels.
    """
    sides = [blur(picture, image.shape[-1] // 8) for picture in (image, wanted)]
    means = [side.mean(dim=(2, 3)) for side in sides]
    deviations = [(s.var(dim=(2, 3), correction=0) + 1e-5).sqrt() for s in sides]
    apart = (means[0] - means[1]).square() + (deviations[0] - deviations[1]).square()
    return STYLE * apart.mean()


def roughness(image: Tensor) -> Tensor:
    """Sum of squared differences between neighbours (total variation), the mean over pictures."""
    down = (image[..., 1:, :] - image[..., :-1, :]).square().sum(dim=(1, 2, 3))
    right = (image[..., 1:] - image[..., :-1]).square().sum(dim=(1, 2, 3))
    return (down + right).mean()


def verdict(*logits: Tensor, real: bool) -> Tensor:
    """Sum over maps of the mean binary cross entropy to `real` (Goodfellow et al. 2014)."""
    wanted = 1.0 if real else 0.0
    found = [
        functional.binary_cross_entropy_with_logits(m.float(), torch.full_like(m.float(), wanted))
        for m in logits
    ]
    return torch.stack(found).sum()
