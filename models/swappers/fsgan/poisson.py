"""Poisson blending in torch, for a whole batch on any device.

Perez, Gangnet, Blake, "Poisson Image Editing" (SIGGRAPH 2003): inside the mask the picture keeps
the gradients of the swapped face, outside it is the target. What is added to the swapped face is
therefore harmonic inside, with the two pictures' difference as its border. It is found by
conjugate gradients, preconditioned by a multigrid cycle (Tatebe, 1993) with bilinear transfers
and damped Jacobi smoothing.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.feature_network import exact

ITERATIONS = 5
"""Always so many, so that a picture's result does not depend on its neighbours in a batch."""
LEVELS = 5
"""Grids, each of half the side of the one before."""
SWEEPS = 2
"""Smoothing steps before and after the coarser grid."""
COARSEST_SWEEPS = 12
DAMPING = 0.8

Grids = list[Tensor]
"""Where unknowns are, from the finest grid to the coarsest, each (N,1,H,W) of 0 and 1."""


@torch.no_grad()
def poisson(swapped: Tensor, target: Tensor, mask: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """The swapped face inside the mask at the target's levels; no gradient flows through it.

    Args:
        swapped: (B,3,S,S) in [-1,1].
        target: (B,3,S,S) in [-1,1].
        mask: (B,1,S,S); inside is what exceeds 0.5, the crop's outermost pixels excepted.
        iterations: of the solver; each one leaves about a quarter of the error.

    Returns:
        float32 (B,3,S,S) in [-1,1], clipped; outside the mask equal to `target`.
    """
    with exact(target.device):
        inside = functional.pad((mask.float() > 0.5).float()[..., 1:-1, 1:-1], (1, 1, 1, 1))
        base = target.float()
        # 1. Cut down to the box of all masks: apart (B,3,h,w) is what the border must add.
        rows, columns = _box(inside)
        if rows.stop == 0:
            return base
        part = (..., rows, columns)
        apart = base[part] - swapped.float()[part]
        height, width = apart.shape[-2:]
        # Grids need a side that halves; beyond the box nothing is unknown.
        edge = (0, -width % 2 ** (LEVELS - 1), 0, -height % 2 ** (LEVELS - 1))
        # 2. What is added: harmonic inside, the difference of both pictures around.
        added = _membrane(
            functional.pad(apart, edge), functional.pad(inside[part], edge), iterations
        )
        # 3. Swapped face plus that, inside the mask alone.
        filled = base.clone()
        here = inside[part] > 0
        blended = (swapped.float()[part] + added[..., :height, :width]).clamp(-1, 1)
        filled[part] = torch.where(here, blended, base[part])
        return filled


def _box(inside: Tensor) -> tuple[slice, slice]:
    """Rows and columns that hold all masks of a batch and a pixel around.

    Aligned to the coarsest grid, so that each picture meets the same grids in every batch.
    """
    step, found = 2 ** (LEVELS - 1), []
    sides = [inside.amax((0, 1, dimension)) for dimension in (3, 2)]
    # One transfer for both: each one waits for the device.
    for taken in torch.split(torch.cat(sides).cpu(), [len(side) for side in sides]):
        used = taken.nonzero()
        first = int(used.min()) - 1 if len(used) else 0
        last = int(used.max()) + 2 if len(used) else 0
        found.append(slice(first // step * step, last))
    return found[0], found[1]


def _membrane(border: Tensor, inside: Tensor, iterations: int) -> Tensor:
    """Harmonic inside, equal to `border` outside: (B,C,H,W), (B,1,H,W) of 0 and 1."""
    count, channels, height, width = border.shape
    fine = inside.expand(-1, channels, -1, -1).reshape(-1, 1, height, width)
    grids = [fine]
    for _ in range(LEVELS - 1):
        # A coarse pixel is unknown where all of its four are.
        grids.append((functional.avg_pool2d(grids[-1], 2) > 0.99).float())
    # For each unknown pixel f: 4 f - (its unknown neighbours) = (its known neighbours), which is
    # the discrete Laplace equation; the right side is the sum of the border's pixels beside it.
    outside = border.reshape(-1, 1, height, width) * (1 - fine)
    solution = _solve(_neighbours(outside) * fine, grids, iterations)
    return solution.reshape(count, channels, height, width)


def _solve(wanted: Tensor, grids: Grids, iterations: int) -> Tensor:
    """Conjugate gradients of each picture by itself, from zero; all (N,1,H,W)."""
    solution, residual = torch.zeros_like(wanted), wanted
    direction, before = torch.zeros_like(wanted), torch.ones_like(wanted[:, :, :1, :1])
    # With A the Laplacian and M the cycle that nearly inverts it, from x = 0, r = b:
    #   z = M r,  p = z + (r.z / r'.z') p,  a = r.z / p.A p,  x += a p,  r -= a A p.
    for step in range(iterations):
        better = _cycle(residual, grids, 0)
        now = (residual * better).sum((2, 3), keepdim=True)
        # A picture that is solved has nothing left to divide by.
        direction = better + direction * (now / before.clamp(min=1e-20)) if step else better
        moved = _laplacian(direction, grids[0])
        length = now / (direction * moved).sum((2, 3), keepdim=True).clamp(min=1e-20)
        solution = solution + length * direction
        residual, before = residual - length * moved, now
    return solution


def _cycle(wanted: Tensor, grids: Grids, level: int) -> Tensor:
    """One V-cycle from zero, symmetric: an approximate solution (N,1,H,W)."""
    inside = grids[level]
    step = inside * (DAMPING / 4)
    found = wanted * step
    coarsest = level == len(grids) - 1
    for _ in range(COARSEST_SWEEPS if coarsest else SWEEPS - 1):
        found = _swept(found, wanted, step)
    if coarsest:
        return found
    # What is left goes to the grid of half the side and is solved there. The weights sum up to 4,
    # the square of the ratio of both steps, so that the equation keeps its form.
    left = _left(found, wanted) * inside
    weights = _transfer(wanted.dtype, wanted.device)
    coarse = functional.conv2d(left, weights, stride=2, padding=1)
    better = _cycle(coarse * grids[level + 1], grids, level + 1)
    # The outermost pixels are never unknown, so that this is the transfer back, transposed.
    fine = functional.interpolate(better, scale_factor=2.0, mode="bilinear")
    found = found.addcmul(fine, inside)
    for _ in range(SWEEPS):
        found = _swept(found, wanted, step)
    return found


@cache
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _transfer(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Bilinear weights (1,1,4,4) between two grids."""
    along = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=dtype, device=device)
    return (along[:, None] * along)[None, None]


def _neighbours(picture: Tensor) -> Tensor:
    """Sum of the four neighbours, zero beyond the border; (N,1,H,W)."""
    padded = functional.pad(picture, (1, 1, 1, 1))
    total = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    total += padded[..., 1:-1, :-2]
    return total.add_(padded[..., 1:-1, 2:])


def _left(found: Tensor, wanted: Tensor) -> Tensor:
    """What the equation lacks everywhere: wanted - (4 x pixel - neighbours); (N,1,H,W)."""
    return _neighbours(found).add_(wanted).add_(found, alpha=-4)


def _swept(found: Tensor, wanted: Tensor, step: Tensor) -> Tensor:
    """One step of damped Jacobi where `step` is not 0."""
    return torch.addcmul(found, step, _left(found, wanted))


def _laplacian(picture: Tensor, inside: Tensor) -> Tensor:
    """Four times a pixel minus its neighbours, where it is unknown; (N,1,H,W)."""
    return _neighbours(picture).sub_(picture, alpha=4).mul_(inside).neg_()
