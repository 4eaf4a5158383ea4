"""Similarities of the plane as complex numbers: a factor that turns and zooms, and an offset."""

from __future__ import annotations

import torch
from torch import Tensor


def multiply(first: Tensor, second: Tensor) -> Tensor:
    """Product of complex numbers (...,2)."""
    a, b = first.unbind(-1)
    c, d = second.unbind(-1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=-1)


def conjugate(number: Tensor) -> Tensor:
    """Complex conjugates of (...,2)."""
    along, across = number.unbind(-1)
    return torch.stack([along, -across], dim=-1)


def fit_similarity(points: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Similarity points -> wanted in the sense of least squares, as complex factor and offset.

    In the plane Umeyama's solution without reflection is the complex regression
    wanted = factor * point + offset. (N,K,2), (K,2) -> (N,1,2), (N,1,2).
    """
    middle, centre = points.mean(1, keepdim=True), wanted.mean(0, keepdim=True)
    away = points - middle
    product = multiply(conjugate(away), (wanted - centre).expand_as(away)).sum(1, keepdim=True)
    factor = product / (away**2).sum(dim=(1, 2), keepdim=True)
    return factor, centre - multiply(factor, middle)


def inverse(factor: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity's inverse, in the same form."""
    back = conjugate(factor) / (factor**2).sum(-1, keepdim=True)
    return back, -multiply(back, offset)


def centres(count: int, device: torch.device) -> Tensor:
    """Positions of `count` pixel centres along a side from -1 to 1."""
    return (2 * torch.arange(count, device=device, dtype=torch.float32) + 1) / count - 1


def plane(line: Tensor) -> Tensor:
    """(K,) -> (K,K,2) positions x, y."""
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([columns, rows], dim=-1)
