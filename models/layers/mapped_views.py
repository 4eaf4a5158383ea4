"""Which views of a source a target's pose is drawn from, by FSGAN's appearance map."""

from __future__ import annotations

import torch
from torch import Tensor

from models.layers import appearance_map
from models.layers.face_shape import fit_pose
from models.layers.reenactment import euler_deg

RADIUS_DEG = 2.0
"""Poses nearer than this to an earlier view's are left out (the default of FSGAN's code)."""
LEAST = 0.01
"""A view with a smaller share is not drawn."""


def view_shares(source: Tensor, target: Tensor) -> Tensor:
    """Share of each view of the source in each target's picture: (B,V), rows of sum 1.

    At most three of a row are above zero: the corners of the triangle in the plane of yaw and
    pitch that the target's pose lies in.

    Args:
        source: meshes (V,468,3) of the source's crops, V at least 1.
        target: meshes (B,468,3) of the target's.
    """
    with torch.autocast(source.device.type, enabled=False):
        views, places = (_plane(meshes) for meshes in (source, target))
    nodes = appearance_map.merge(views, RADIUS_DEG)
    points = appearance_map.with_corners(views[nodes])
    shares = appearance_map.barycentric(points, appearance_map.delaunay(points), places)
    shares = torch.where(shares < LEAST, 0.0, shares)
    found = torch.zeros(len(target), len(source))
    found[:, nodes] = shares / shares.sum(1, keepdim=True)
    return found.to(target.device)


def _plane(meshes: Tensor) -> Tensor:
    """Yaw and pitch (N,2) in degrees, on the CPU."""
    return euler_deg(fit_pose(meshes.float().cpu()).rotation)[:, :2]
