"""Rasterisation of triangle meshes: which triangle lies on top of each pixel, and where in it.

A piecewise affine map from one picture to another is then an interpolation: each pixel takes the
barycentric mean of what its triangle's corners carry, here the place of that corner in the other
picture. All meshes of a batch are drawn at once, without a loop over triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

INSIDE = -1e-4
"""Barycentric weights down to here count as inside, so that no seam opens between neighbours."""

DEPTH_RANGE = 4096.0
"""Depths are told apart to 1/256 px up to here, whatever else is in the batch."""


@dataclass(frozen=True)
class Raster:
    """Covered pixels of a batch of B pictures of S x S px, as a list of N.

    Attributes:
        pixel: int64 (N,), place in the flattened (B,S,S), each at most once.
        corners: int64 (N,3), place of the covering triangle's corners in the flattened (B,V).
        weights: float32 (N,3), barycentric, sum 1.
        shape: B and S.
    """

    pixel: Tensor
    corners: Tensor
    weights: Tensor
    shape: tuple[int, int]

    def interpolate(self, values: Tensor) -> Tensor:
        """Values of vertices (B,V,C) -> values of the covered pixels (N,C)."""
        flat = values.reshape(-1, values.shape[-1])
        total = flat[self.corners[:, 0]] * self.weights[:, :1]
        total += flat[self.corners[:, 1]] * self.weights[:, 1:2]
        total += flat[self.corners[:, 2]] * self.weights[:, 2:]
        return total

    def picture(self, values: Tensor, empty: float = 0.0) -> Tensor:
        """Values of the covered pixels (N,C) -> pictures (B,S,S,C), `empty` elsewhere."""
        batch, side = self.shape
        picture = values.new_full((batch * side * side, values.shape[-1]), empty)
        picture[self.pixel] = values
        return picture.reshape(batch, side, side, -1)


def rasterise(vertices: Tensor, triangles: Tensor, size_px: int) -> Raster:
    """Draw meshes; triangles seen from behind are left out, and the nearest one wins.

    Args:
        vertices: (B,V,3): x, y in px (pixel centres at integers), z away from the camera.
        triangles: int64 (T,3), wound so that a front-facing one has a negative cross product.
        size_px: side S of the pictures; triangles outside are cut off.

    Returns:
        The covered pixels.
    """
    batch, count = vertices.shape[:2]
    # Every triangle of every mesh by itself (B*T,3,3), and twice its signed area: the cross
    # product of two of its edges.
    corners = vertices.float()[:, triangles].reshape(-1, 3, 3)
    edges = corners[:, 1:, :2] - corners[:, :1, :2]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    # The box of whole px around each; one that is seen from behind or beside the picture goes.
    low = corners[..., :2].amin(1).ceil().clamp(min=0)
    high = corners[..., :2].amax(1).floor().clamp(max=size_px - 1)
    seen = (area < -1e-6) & (low <= high).all(1)
    kept = seen.nonzero()[:, 0]
    face, place, weights, depth = _inside(
        corners[kept], area[kept], low[kept].long(), high[kept].long(), size_px
    )
    # From the picture's own px to those of the batch; then the nearest triangle of each px.
    owner = kept[face]
    place = place + torch.div(owner, len(triangles), rounding_mode="floor") * size_px**2
    top = _nearest(place, depth, face, batch * size_px**2)
    owner, place, weights = owner[top], place[top], weights[top]
    picture = torch.div(owner, len(triangles), rounding_mode="floor")
    ends = triangles[owner - picture * len(triangles)] + (picture * count)[:, None]
    return Raster(place, ends, weights, (batch, size_px))


def _inside(
    corners: Tensor, area: Tensor, low: Tensor, high: Tensor, size_px: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels inside each triangle: its index, place in the picture, weights (N,3), depth."""
    # One entry for each px of each box, N together: its triangle, and its place in the box.
    width = high[:, 0] - low[:, 0] + 1
    counts = width * (high[:, 1] - low[:, 1] + 1)
    face = torch.repeat_interleave(counts)
    step = torch.arange(len(face), device=face.device) - (counts.cumsum(0) - counts)[face]
    row = torch.div(step, width[face], rounding_mode="floor")
    column = step - row * width[face]
    # Weight of corner i is affine in the way from the box's corner: small numbers, little rounding.
    # That of a at p is cross(c - b, p - b) / cross(b - a, c - a): its gradient is the opposite
    # edge turned by a right angle, over the area.
    a, b, c = (corners[:, :, :2] - low[:, None]).unbind(1)
    opposite = torch.stack([c - b, a - c, b - a], 1) / area[:, None, None]
    start = torch.stack([b, c, a], 1)
    gradient = torch.stack([-opposite[..., 1], opposite[..., 0]], -1)
    weights = -(gradient * start).sum(-1)[face]
    weights += gradient[face, :, 0] * column[:, None]
    weights += gradient[face, :, 1] * row[:, None]
    keep = (weights.amin(1) >= INSIDE).nonzero()[:, 0]
    face, weights = face[keep], weights[keep]
    depth = (weights * corners[face, :, 2]).sum(1)
    place = (row[keep] + low[face, 1]) * size_px + column[keep] + low[face, 0]
    return face, place, weights, depth


def _nearest(place: Tensor, depth: Tensor, face: Tensor, pixels: int) -> Tensor:
    """Of all candidates, the one nearest to the camera per pixel; ties go to the later triangle."""
    if not len(place):
        return place
    # Nearness in the upper 32 bits, the triangle in the lower: the largest key of a px wins.
    key = ((DEPTH_RANGE - depth.clamp(-DEPTH_RANGE, DEPTH_RANGE)) * 256).long() << 32 | face
    best = torch.full((pixels,), -1, dtype=torch.int64, device=place.device)
    best.scatter_reduce_(0, place, key, "amax")
    return (best[place] == key).nonzero()[:, 0]
