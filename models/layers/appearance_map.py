"""The appearance map of FSGAN: views of a face in the plane of yaw and pitch.

Nirkin, Keller, Hassner, "FSGAN: Subject Agnostic Face Swapping and Reenactment" (ICCV 2019):
near-duplicate poses are merged, the rest is triangulated (Delaunay) together with four empty
corners, and a target pose takes the three views of its triangle by barycentric weights; the
corners count nothing. A node here holds all views near its pose, so that expression can choose.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

CORNER_DEG = 75.0
NODES_MOST = 40
"""All triples of nodes are tried as triangles, which is quick up to here."""


def merge(angles: Tensor, radius_deg: float) -> Tensor:
    """Nodes of the map: views in order, each at least `radius_deg` from all before it.

    The radius grows until at most `NODES_MOST` remain.

    Args:
        angles: yaw and pitch (N,2) in degrees.

    Returns:
        Indices (M,).
    """
    while True:
        kept: list[int] = []
        for index, angle in enumerate(angles):
            if not kept or float((angles[kept] - angle).norm(dim=1).min()) >= radius_deg:
                kept.append(index)
        if len(kept) <= NODES_MOST:
            return torch.tensor(kept)
        radius_deg *= 1.25


def with_corners(nodes: Tensor) -> Tensor:
    """Node angles (M,2) and the four empty corners behind them, (M+4,2)."""
    corners = [[x, y] for x in (-CORNER_DEG, CORNER_DEG) for y in (-CORNER_DEG, CORNER_DEG)]
    return torch.cat([nodes, nodes.new_tensor(corners)])


def delaunay(points: Tensor) -> Tensor:
    """Triangles (T,3) whose circumcircle holds no other point; for up to some fifty points.

    Of points on one circle all triangles are returned, so that some may overlap.
    """
    triples = torch.tensor(list(itertools.combinations(range(len(points)), 3)))
    # The circumcentre, seen from a: with u = b - a, v = c - a and d = 2 cross(u, v) it is
    # (v.y |u|^2 - u.y |v|^2, u.x |v|^2 - v.x |u|^2) / d.
    a, b, c = points.double()[triples].unbind(1)
    doubled = 2 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    flat = doubled.abs() < 1e-6
    doubled = torch.where(flat, 1.0, doubled)
    to_b, to_c = (b - a).square().sum(1), (c - a).square().sum(1)
    centre = torch.stack(
        [
            (c - a)[:, 1] * to_b - (b - a)[:, 1] * to_c,
            (b - a)[:, 0] * to_c - (c - a)[:, 0] * to_b,
        ],
        1,
    )
    centre = centre / doubled[:, None]
    radius = centre.norm(dim=1)
    nearest = torch.cdist(centre + a, points.double()).amin(1)
    return triples[~flat & (nearest >= radius * (1 - 1e-9) - 1e-9)]


def barycentric(points: Tensor, triangles: Tensor, places: Tensor) -> Tensor:
    """Weights of the points for each place: (B,P), sum 1, at most three above zero.

    The corners (the last four points, the very last one where both angles are largest) count
    nothing; the rest makes up for them. A place outside or in a triangle of corners alone takes
    the nearest point that is no corner.
    """
    limit = float(points[-1, 0]) - 1e-3
    places = places.clamp(-limit, limit)
    a, b, c = points[triangles].unbind(1)
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    # The weight of a corner is the area opposite to it over the whole: (B,T) for each corner.
    shares = []
    for start, end in ((b, c), (c, a), (a, b)):
        way, edge = places[:, None] - start, end - start
        shares.append((edge[:, 0] * way[..., 1] - edge[:, 1] * way[..., 0]) / area)
    share = torch.stack(shares, 2)
    best = share.amin(2).argmax(1)
    inside = share[torch.arange(len(places), device=share.device), best].clamp(min=0)
    weights = inside.new_zeros(len(places), len(points)).scatter(1, triangles[best], inside)
    weights = weights[:, :-4]
    total = weights.sum(1, keepdim=True)
    nearest = torch.cdist(places, points[:-4]).argmin(1)
    alone = torch.nn.functional.one_hot(nearest, len(points) - 4).to(weights)
    return torch.where(total > 1e-6, weights / total.clamp(min=1e-6), alone)
