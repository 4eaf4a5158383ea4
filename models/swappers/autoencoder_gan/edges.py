"""Losses on differences of neighbouring pixels: edges of pictures, smoothness of masks."""

from __future__ import annotations

from torch import Tensor


def slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute differences to the pixel below and to the right: (B,C,H,W) -> two (B,C,H-1,W-1)."""
    here = image.float()
    corner = here[..., :-1, :-1]
    return (corner - here[..., 1:, :-1]).abs(), (corner - here[..., :-1, 1:]).abs()


def edge_distance(image: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference of slopes, both directions added (faceswap-GAN's edge loss).

    Args:
        image: (B,C,S,S).
        wanted: the same.
        weight: (B,1,S,S) of each pixel; None counts all with 1.
    """
    pairs = zip(slopes(image), slopes(wanted), strict=True)
    apart = [(seen - known).abs() for seen, known in pairs]
    if weight is not None:
        apart = [each * weight[..., :-1, :-1] for each in apart]
    return apart[0].mean() + apart[1].mean()


def total_variation(mask: Tensor) -> Tensor:
    """Mean absolute slope of (B,C,S,S), both directions added: 0 for even masks."""
    down, right = slopes(mask)
    return down.mean() + right.mean()
