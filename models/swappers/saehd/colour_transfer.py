"""Colours of one picture given to another, a batch at a time, on the device it lies on.

What swap tools call rct, lct, mkl, idt and sot while they train: each picture gets the colours of
the one in the same row of another batch.

- rct: mean and deviation per channel (Reinhard et al. 2001), here in Oklab;
- lct: mean and covariance in RGB, by the root of one times the inverse root of the other;
- mkl: the same by the map that moves colours least (Pitié and Kokaram, "The linear
  Monge-Kantorovitch linear colour mapping", 2007);
- idt: the whole distribution, three axes at a time, turned 20 times (Pitié, Kokaram, Dahyot,
  "Automated colour grading using colour distribution transfer", 2007);
- sot: the whole distribution by sliced optimal transport, 10 steps of 30 directions (Rabin et al.
  2011).

Only what the masks show is measured: a blue screen behind one of the two would turn the other's
skin. The last two find where 256 of its places in a 32x32 px copy go, and move every pixel like the
places that are near it and of its colour (joint bilateral upsampling, Kopf et al. 2007), which also
keeps noise from being torn apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from models.layers import random_numbers
from models.layers.feature_network import exact
from models.layers.oklab import to_oklab, to_rgb

Mode = Literal["none", "rct", "lct", "mkl", "idt", "sot"]
MODES: tuple[Mode, ...] = get_args(Mode)
GRID = 32
"""Side of the copy whose places stand for a distribution."""
PLACES = 256
"""How many of them."""
NEAR = 0.125
"""Deviation of the distance at which a place counts, share of the side (16 of 128 px)."""
ALIKE = 0.15
"""Deviation of the difference in colour at which it counts, of a range of 2."""
EMPTY = 0.01
"""Mean of a mask below which it shows nothing to measure."""
LEAST = 1e-5
"""Added to variances: a picture of one colour has none."""


def recolour(
    pictures: Sequence[Tensor],
    wanted: Tensor,
    mode: Mode,
    masks: tuple[Tensor, Tensor] | None = None,
) -> list[Tensor]:
    """`pictures` with the colours of `wanted`, all (B,3,S,S) in [-1,1]; values beyond are clipped.

    Args:
        pictures: the first one is measured; the others are changed as it is.
        wanted: whose colours row by row.
        masks: (B,1,S,S) in [0,1], what counts of the first picture and of `wanted`; None all.
        mode: "none" gives the pictures back. "idt" and "sot" draw from torch's global generator.
    """
    if mode == "none":
        return list(pictures)
    # Roots of covariances in bf16 would be noise.
    with torch.no_grad(), exact(wanted.device):
        given, goal = [picture.float() for picture in pictures], wanted.float()
        shares = [_shares(m, goal) for m in masks or (None, None)]
        if mode in {"idt", "sot"}:
            return _moved(given, goal, shares, mode)
        if mode == "rct":
            labs = _mapped([to_oklab(p) for p in given], to_oklab(goal), shares, mode)
            return [to_rgb(lab) for lab in labs]
        return [p.clamp(-1, 1) for p in _mapped(given, goal, shares, mode)]


def _shares(mask: Tensor | None, like: Tensor) -> Tensor:
    """Weights (B,1,S,S) of sum 1; all alike where a mask is None or all but empty."""
    even = like.new_ones(like.shape[0], 1, *like.shape[2:])
    if mask is None:
        return even / even[0].numel()
    empty = mask.float().mean(dim=(2, 3), keepdim=True) < EMPTY
    weight = torch.where(empty, even, mask.float())
    return weight / weight.sum(dim=(2, 3), keepdim=True)


def _moments(picture: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean (B,3,1) and covariance (B,3,3) of (B,3,S,S)."""
    flat, weight = picture.flatten(2), shares.flatten(2)
    mean = (flat * weight).sum(dim=2, keepdim=True)
    apart = flat - mean
    return mean, (apart * weight) @ apart.transpose(1, 2)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Power of symmetric positive matrices (B,3,3)."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=LEAST)[:, None] ** exponent) @ vectors.transpose(1, 2)


def _matrix(own: Tensor, goal: Tensor, mode: Mode) -> Tensor:
    """Linear maps (B,3,3) that bring covariance `own` to `goal`."""
    if mode == "rct":
        spread = [c.diagonal(dim1=1, dim2=2).clamp(min=1e-8).sqrt() for c in (own, goal)]
        return torch.diag_embed(spread[1] / spread[0])
    if mode == "lct":
        return _power(goal, 0.5) @ _power(own, -0.5)
    root, back = _power(own, 0.5), _power(own, -0.5)
    return back @ _power(root @ goal @ root, 0.5) @ back


def _mapped(pictures: list[Tensor], goal: Tensor, shares: list[Tensor], mode: Mode) -> list[Tensor]:
    own_mean, own = _moments(pictures[0], shares[0])
    goal_mean, covariance = _moments(goal, shares[1])
    matrix = _matrix(own, covariance, mode)
    mapped = [matrix @ (p.flatten(2) - own_mean) + goal_mean for p in pictures]
    return [new.view_as(old) for new, old in zip(mapped, pictures, strict=True)]


def _directions(mode: Mode, device: torch.device) -> Iterator[tuple[Tensor, float]]:
    """Unit directions (K,3) of each step, and the share of a step that is gone along each."""
    if mode == "idt":
        for _ in range(20):
            axes = torch.linalg.qr(random_numbers.randn(3, 3))[0].T
            yield axes.to(device, non_blocking=True), 1.0
        return
    for _ in range(10):
        axes = functional.normalize(random_numbers.randn(30, 3), dim=1)
        yield axes.to(device, non_blocking=True), 1 / 30


def transport(points: Tensor, goal: Tensor, mode: Mode) -> Tensor:
    """Colours (B,3,N) moved until they are distributed like `goal` (B,3,N)."""
    for directions, share in _directions(mode, points.device):
        own = directions @ points
        order = own.argsort(dim=2)
        new = torch.empty_like(own).scatter_(2, order, (directions @ goal).sort(dim=2).values)
        points = points + share * (directions.T @ (new - own))
    return points


def _moved(pictures: list[Tensor], goal: Tensor, shares: list[Tensor], mode: Mode) -> list[Tensor]:
    (small, where), (aim, _) = _sampled(pictures[0], shares[0]), _sampled(goal, shares[1])
    ways = transport(small, aim, mode) - small
    found = []
    for picture in pictures:
        rows = zip(picture, small, where, ways, strict=True)
        found.append(torch.stack([_spread(*row) for row in rows]).clamp(-1, 1))
    return found


def _sampled(picture: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (B,3,256) and places (B,256,2) that stand for a weighted picture.

    Evenly spaced in the sum of weights, row by row: nothing is drawn.
    """
    small = functional.adaptive_avg_pool2d(picture, GRID).flatten(2)
    total = functional.adaptive_avg_pool2d(shares, GRID).flatten(1).cumsum(dim=1)
    steps = (torch.arange(PLACES, device=total.device) + 0.5) / PLACES
    index = torch.searchsorted(total, steps * total[:, -1:]).clamp(max=GRID**2 - 1)
    colours = small.gather(2, index[:, None].expand(-1, 3, -1))
    return colours, _places(GRID, picture.device)[index]


def _spread(picture: Tensor, small: Tensor, where: Tensor, ways: Tensor) -> Tensor:
    """One picture (3,S,S), moved as colours (3,N) at places (N,2) go (3,N)."""
    place = _places(picture.shape[-1], picture.device)
    far = torch.cdist(place, where).square() / (2 * NEAR**2)
    unlike = torch.cdist(picture.flatten(1).T, small.T).square() / (2 * ALIKE**2)
    shares = torch.softmax(-far - unlike, dim=1)
    return picture + (shares @ ways.T).T.view_as(picture)


def _places(side: int, device: torch.device) -> Tensor:
    """Middles of the pixels of a square, (side**2,2) in [0,1]."""
    middle = (torch.arange(side, dtype=torch.float32, device=device) + 0.5) / side
    return torch.cartesian_prod(middle, middle)
