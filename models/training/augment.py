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

from likeness.contracts.params.train import Augmentation
from models.layers.similarity_transform import (
    centres,
    conjugate,
    fit_similarity,
    inverse,
    multiply,
    plane,
)

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
        return Draw(*(numbers[begin:end] for numbers in self._all))

    def to(self, device: torch.device) -> Draw:
        """The same numbers on `device`, where they arrive in one copy that nobody waits for."""
        if self.turn.device == device:
            return self
        parts = [numbers.flatten() for numbers in self._all]
        moved = torch.cat(parts).to(device, non_blocking=True)
        several = zip(torch.split(moved, [len(p) for p in parts]), self._all, strict=True)
        return Draw(*(numbers.view(own.shape) for numbers, own in several))

    @property
    def _all(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.turn, self.shift, self.mirror, self.jitter


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


def _jittered(numbers: Draw) -> Tensor:
    """Nodes of the warp's grid after the jitter, (N,2,5,5)."""
    nodes = plane(torch.linspace(-1, 1, GRID, device=numbers.turn.device))
    return nodes.permute(2, 0, 1) + numbers.jitter


def _fit(numbers: Draw) -> tuple[Tensor, Tensor]:
    """Similarity from the covered square to the crop that is wanted: it follows the warp."""
    nodes = plane(torch.linspace(-1, 1, GRID, device=numbers.turn.device)).reshape(-1, 2)
    return fit_similarity(_jittered(numbers).permute(0, 2, 3, 1).reshape(-1, GRID**2, 2), nodes)


def _mirror(numbers: Draw) -> Tensor:
    """(N,2) factors of x and y."""
    return torch.stack([numbers.mirror, torch.ones_like(numbers.mirror)], dim=1)


def _before(where: Tensor, numbers: Draw, coverage: float) -> Tensor:
    """A mirrored, moved and turned crop is read at the place where each of its pixels was before.

    Positions (N,S,S,2) in the covered square -> (N,S,S,2) in align's crop.
    """
    turn, shift = conjugate(numbers.turn)[:, None, None], numbers.shift[:, None, None]
    mirror = _mirror(numbers)[:, None, None]
    return multiply(turn, where * coverage * mirror - shift).contiguous()


def wanted_positions(numbers: Draw, coverage: float, size_px: int) -> Tensor:
    """Where each pixel of the wanted crop comes from, (N,S,S,2)."""
    pixels = plane(centres(size_px, numbers.turn.device)).expand(len(numbers.turn), -1, -1, -1)
    factor, offset = inverse(*_fit(numbers))
    return _before(multiply(factor[:, None], pixels) + offset[:, None], numbers, coverage)


def positions(numbers: Draw, coverage: float, size_px: int) -> tuple[Tensor, Tensor]:
    """Where each pixel of the warped and of the wanted crop comes from: two (N,S,S,2)."""
    pixels = plane(centres(size_px, numbers.turn.device)).expand(len(numbers.turn), -1, -1, -1)
    warped = functional.grid_sample(
        _jittered(numbers), pixels, padding_mode="border", align_corners=True
    ).permute(0, 2, 3, 1)
    seen = _before(warped, numbers, coverage)
    return seen, wanted_positions(numbers, coverage, size_px)


def move_points(
    points: Tensor, numbers: Draw, coverage: float, aligned_px: int, size_px: int
) -> Tensor:
    """Landmarks (N,K,2 or 3), px of align's crop -> px of the wanted crop; depth is scaled.

    The inverse of `wanted_positions`: a point lands on the pixel that is read where it was. The
    order of the points stays: who mirrors a face renames its points (`relabel`).
    """
    where = (points[..., :2] + 0.5) * (2 / aligned_px) - 1
    turned = multiply(inverse(conjugate(numbers.turn)[:, None], where.new_zeros(1, 1, 2))[0], where)
    covered = (turned + numbers.shift[:, None]) * _mirror(numbers)[:, None] / coverage
    factor, offset = _fit(numbers)
    moved = (multiply(factor, covered) + offset + 1) * (size_px / 2) - 0.5
    if points.shape[-1] == 2:
        return moved
    zoom = factor.norm(dim=-1) / numbers.turn.norm(dim=-1)[:, None] / coverage
    depth = points[..., 2] * zoom * (size_px / aligned_px)
    return torch.cat([moved, depth[..., None]], dim=-1)


def relabel(points: Tensor, numbers: Draw, partner: Tensor) -> Tensor:
    """Points (N,K,...) of mirrored faces under the names of their other side.

    Args:
        partner: (K,) index of each point's mirror image.
    """
    return torch.where((numbers.mirror < 0)[:, None, None], points[:, partner], points)


def sample(picture: Tensor, where: Tensor) -> Tensor:
    """Read (N,C,A,A) at positions (N,S,S,2); beyond the edge the edge goes on."""
    return functional.grid_sample(picture, where, padding_mode="border", align_corners=False)
