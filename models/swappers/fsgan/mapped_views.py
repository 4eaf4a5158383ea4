"""Which views of a source a target's pose is drawn from, by FSGAN's appearance map."""

from __future__ import annotations

import torch
from torch import Tensor

from models.layers import appearance_map

LEAST = 0.01
"""A view with a smaller share is not drawn."""


def laid_out(pose_deg: Tensor) -> tuple[Tensor, Tensor]:
    """A map of a few views as they are, for previews: points (V+4,2) and triangles (T,3).

    Args:
        pose_deg: yaw and pitch of the views first, (V,2 or 3); some forty at most.
    """
    inside = appearance_map.CORNER_DEG - 1.0
    points = appearance_map.with_corners(pose_deg[:, :2].float().cpu().clamp(-inside, inside))
    return points, appearance_map.delaunay(points)


def view_shares(points: Tensor, triangles: Tensor, pose_deg: Tensor) -> Tensor:
    """Share of each view of the source in each target's picture: (B,V), rows of sum 1.

    At most three of a row are above zero: the corners of the triangle in the plane of yaw and
    pitch that the target's pose lies in.

    Args:
        points: yaw and pitch of the views in degrees, then of the four empty corners, (V+4,2).
        triangles: (T,3), indices of points.
        pose_deg: of the targets, yaw and pitch first, (B,2 or 3).
    """
    places = pose_deg[:, :2].float().cpu()
    shares = appearance_map.barycentric(points.cpu(), triangles.cpu(), places)
    shares = torch.where(shares < LEAST, 0.0, shares)
    return (shares / shares.sum(1, keepdim=True)).to(pose_deg.device)
