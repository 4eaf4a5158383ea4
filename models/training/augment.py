"""Random affine map and random warp of crops, in torch, a batch at a time.

The warp is that of deepfakes/faceswap (2018): a 5x5 grid of points over the covered square is
jittered and the picture read through it; the wanted picture is read through the similarity that
fits the same jittered grid best (Umeyama 1991), so that both show the same region. All positions
are computed first and the crop is sampled once. Coordinates are shares of half a side: a crop
reaches from -1 to 1, the covered square from -c to c.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.training.plan import Augmentation

GRID = 5


@dataclass(frozen=True)
class Draw:
    """Random numbers for N crops: all that augmentation depends on.

    Attributes:
        turn: (N,2) cosine and sine of the rotation, divided by the zoom.
        shift: (N,2) in half sides.
        mirror: (N,) 1 or -1.
        jitter: (N,2,5,5) displacement of the grid, in half covered sides.
    """

    turn: Tensor
    shift: Tensor
    mirror: Tensor
    jitter: Tensor

    def part(self, begin: int, end: int) -> Draw:
        """Numbers of crops `begin` to `end`."""
        several = (self.turn, self.shift, self.mirror, self.jitter)
        return Draw(*(numbers[begin:end] for numbers in several))


def draw(count: int, settings: Augmentation, random: torch.Generator) -> Draw:
    """Draw the random numbers of `count` crops."""
    uniform = torch.rand((count, 5), generator=random) * 2 - 1
    angle = torch.deg2rad(uniform[:, 0] * settings.rotation_deg)
    zoom = 1 + uniform[:, 1] * settings.zoom
    turn = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1) / zoom[:, None]
    shift = uniform[:, 2:4] * settings.shift * 2
    mirror = torch.where((uniform[:, 4] + 1) / 2 < settings.flip, -1.0, 1.0)
    jitter = torch.randn((count, 2, GRID, GRID), generator=random) * settings.warp * 2
    return Draw(turn, shift, mirror, jitter)


def _multiply(first: Tensor, second: Tensor) -> Tensor:
    """Product of complex numbers (...,2)."""
    a, b = first.unbind(-1)
    c, d = second.unbind(-1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=-1)


def fit_similarity(points: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Similarity points -> wanted in the sense of least squares, as complex factor and offset.

    In the plane Umeyama's solution without reflection is the complex regression
    wanted = factor * point + offset. (N,K,2), (K,2) -> (N,1,2), (N,1,2).
    """
    middle, centre = points.mean(1, keepdim=True), wanted.mean(0, keepdim=True)
    away = points - middle
    conjugate = away * torch.tensor([1.0, -1.0], device=away.device)
    product = _multiply(conjugate, (wanted - centre).expand_as(away)).sum(1, keepdim=True)
    factor = product / (away**2).sum(dim=(1, 2), keepdim=True)
    return factor, centre - _multiply(factor, middle)


def _inverse(factor: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity's inverse, in the same form."""
    conjugate = factor * torch.tensor([1.0, -1.0], device=factor.device)
    back = conjugate / (factor**2).sum(-1, keepdim=True)
    return back, -_multiply(back, offset)


def _centres(count: int, device: torch.device) -> Tensor:
    """Positions of `count` pixel centres along a side from -1 to 1."""
    return (2 * torch.arange(count, device=device, dtype=torch.float32) + 1) / count - 1


def _plane(line: Tensor) -> Tensor:
    """(K,) -> (K,K,2) positions x, y."""
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([columns, rows], dim=-1)


def positions(numbers: Draw, coverage: float, size_px: int) -> tuple[Tensor, Tensor]:
    """Where each pixel of the warped and of the wanted crop comes from: two (N,S,S,2)."""
    device = numbers.turn.device
    count = len(numbers.turn)
    nodes = _plane(torch.linspace(-1, 1, GRID, device=device))
    jittered = nodes + numbers.jitter.permute(0, 2, 3, 1)
    pixels = _plane(_centres(size_px, device)).expand(count, -1, -1, -1)
    warped = functional.grid_sample(
        jittered.permute(0, 3, 1, 2), pixels, padding_mode="border", align_corners=True
    ).permute(0, 2, 3, 1)
    fit = fit_similarity(jittered.reshape(count, -1, 2), nodes.reshape(-1, 2))
    factor, offset = _inverse(*fit)
    wanted = _multiply(factor[:, None], pixels) + offset[:, None]
    # A mirrored, moved and turned crop is read at the place where each of its pixels was before.
    turn = (numbers.turn * torch.tensor([1.0, -1.0], device=device))[:, None, None]
    mirror = torch.stack([numbers.mirror, torch.ones_like(numbers.mirror)], dim=1)[:, None, None]
    shift = numbers.shift[:, None, None]
    before = [_multiply(turn, p * coverage * mirror - shift) for p in (warped, wanted)]
    return before[0].contiguous(), before[1].contiguous()


def sample(picture: Tensor, where: Tensor) -> Tensor:
    """Read (N,C,A,A) at positions (N,S,S,2); beyond the edge the edge goes on."""
    return functional.grid_sample(picture, where, padding_mode="border", align_corners=False)
