"""Motion blur of some pictures of a batch, so that networks learn to keep what moves blurred."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from models.layers import random_numbers
from models.layers.feature_network import exact

LENGTHS_PX = (5, 7, 9, 11)
"""Lengths of the line along which a picture is blurred (faceswap-GAN), at every crop size."""
REACH_PX = max(LENGTHS_PX) // 2


def line_kernels(length_px: Tensor, angle: Tensor) -> Tensor:
    """Lines through the middle: lengths (N,) px, angles (N,) rad -> (N,11,11), each of sum 1.

    A pixel counts by how much of it a line one pixel wide covers, to first order.
    """
    offset = torch.arange(-REACH_PX, REACH_PX + 1, dtype=torch.float32)
    rows, columns = torch.meshgrid(offset, offset, indexing="ij")
    cosine, sine = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along = (columns * cosine + rows * sine).abs()
    aside = (rows * cosine - columns * sine).abs()
    ends = (length_px[:, None, None] / 2 - along + 0.5).clamp(0, 1)
    drawn = (1 - aside).clamp(min=0) * ends
    return drawn / drawn.sum((1, 2), keepdim=True)


def blur(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Each (C,S,S) of (N,C,S,S) by its own kernel of (N,11,11); edges are mirrored."""
    count, channels, height, width = pictures.shape
    padded = functional.pad(pictures, (REACH_PX,) * 4, mode="reflect")
    weights = kernels[:, None].expand(-1, channels, -1, -1).reshape(-1, 1, *kernels.shape[1:])
    flat = padded.reshape(1, count * channels, *padded.shape[2:])
    return functional.conv2d(flat, weights, groups=count * channels).reshape(
        count, channels, height, width
    )


def motion_blurred(several: list[Tensor], chance: float) -> list[Tensor]:
    """Blur row i of all (B,C,S,S) alike, each row with this chance, along a random line."""
    count, device = len(several[0]), several[0].device
    drawn = random_numbers.rand(count) < chance
    lengths = torch.tensor(LENGTHS_PX)[random_numbers.randint(len(LENGTHS_PX), (count,))]
    angles = random_numbers.rand(count) * math.pi
    rows = drawn.nonzero()[:, 0]
    if not len(rows):
        return several
    kernels = line_kernels(lengths[rows].float(), angles[rows]).to(device, non_blocking=True)
    where = rows.to(device, non_blocking=True)
    with exact(device):  # what stays sharp keeps its float32, so what is blurred must, too
        return [each.index_copy(0, where, blur(each[where], kernels)) for each in several]
