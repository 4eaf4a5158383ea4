"""From crops of any template to the square that the occlusion network knows, and back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.gaussian_blur import blur, widen
from models.layers.occlusion_network import OVAL, SIDE_PX, OcclusionNetwork, marks
from models.layers.uv_texture import smoothstep

TOP, CHIN = 10, 152
ROOM, LIFT = 1.5, 0.08
"""As in `likeness.vision.framing`, of which this is the differentiable twin."""
GRID = 4
"""Px of the square to a cell in which cover is followed from the edge inwards."""
FAINT = 0.3
"""From here on a cell is covered enough to be followed."""
EDGE = -0.5
"""Levelled distance to the oval from which on a place is well inside: about 7 px."""
TOGETHER = 8
"""Crops looked at at a time, so that what is worked on stays near the processor."""


def face_squares(meshes: Tensor, side_px: int = SIDE_PX) -> Tensor:
    """Affine (B,2,3) from px of the meshes (B,468,2 or 3) to squares of `side_px`."""
    points = meshes[..., :2]
    down = functional.normalize(points[:, CHIN] - points[:, TOP], dim=-1, eps=1e-6)
    across = torch.stack([down[:, 1], -down[:, 0]], -1)
    axes = torch.stack([across, down], 1)
    oval = points[:, list(OVAL)] @ axes.transpose(1, 2)
    low, high = oval.amin(1), oval.amax(1)
    extent = (high - low).amax(-1, keepdim=True).clamp(min=1e-6)
    scale = side_px / (ROOM * extent)
    lift = torch.cat([torch.zeros_like(extent), LIFT * extent], -1)
    offset = (side_px - 1) / 2 - scale * ((low + high) / 2 - lift)
    return torch.cat([scale[..., None] * axes, offset[..., None]], -1)


def _carried(points: Tensor, affine: Tensor) -> Tensor:
    return points @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]


def _inverse(affine: Tensor) -> Tensor:
    back = torch.linalg.inv(affine[..., :2])
    return torch.cat([back, -back @ affine[..., 2:]], -1)


def warp(pictures: Tensor, affine: Tensor, side_px: int, padding: str) -> Tensor:
    """Pictures (B,C,S,S) seen through affine maps (B,2,3) px -> px of a square of `side_px`."""
    line = torch.arange(side_px, device=pictures.device, dtype=torch.float32)
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(1, -1, 2)
    found = _carried(at.expand(len(pictures), -1, -1), _inverse(affine))
    grid = (found + 0.5) * (2 / pictures.shape[-1]) - 1
    grid = grid.reshape(len(pictures), side_px, side_px, 2)
    return functional.grid_sample(pictures, grid, padding_mode=padding, align_corners=False)


def covered(network: OcclusionNetwork, crops: Tensor, meshes: Tensor) -> Tensor:
    """How far something stands before the face, pixel by pixel.

    Args:
        network: in eval mode.
        crops: (B,3,S,S) in [-1,1].
        meshes: (B,468,2 or 3) px of the crops.

    Returns:
        (B,1,S,S) in [0,1]; 0 beyond the square around the face.
    """
    parts = zip(torch.split(crops, TOGETHER), torch.split(meshes, TOGETHER), strict=True)
    return torch.cat([_covered(network, *part) for part in parts])


def bare_face(network: OcclusionNetwork, crops: Tensor, meshes: Tensor, margin: float) -> Tensor:
    """How far each px shows the face itself, and nothing that stands before it.

    Args:
        network, crops, meshes: as for `covered`.
        margin: how much skin beside what covers it is given up, share of the side: shadows and
            the light at an edge go with it.

    Returns:
        (B,1,S,S) in [0,1], soft.
    """
    side = crops.shape[-1]
    foreign = smoothstep(covered(network, crops, meshes), 0.25, 0.75)
    foreign = widen(foreign, max(1, round(margin * side)))
    return 1 - blur(foreign, side / 128)


def _covered(network: OcclusionNetwork, crops: Tensor, meshes: Tensor) -> Tensor:
    side = crops.shape[-1]
    affine = face_squares(meshes)
    # A large crop is averaged first: what is sampled every few px would flicker.
    shrink = max(1, round(float(affine[:, :, :2].det().abs().min() ** -0.5)))
    smaller = functional.avg_pool2d(crops, shrink) if shrink > 1 else crops
    inner = affine.clone()
    inner[..., :2] *= shrink
    inner[..., 2] += affine[..., :2].sum(-1) * (shrink - 1) / 2
    squares = warp(smaller, inner, SIDE_PX, "border")
    points = _carried(meshes[..., :2], affine)
    found = entered(torch.sigmoid(network(squares, points).float()), points)
    return warp(found, _inverse(affine), side, "zeros")


def entered(found: Tensor, points: Tensor) -> Tensor:
    """What of the found cover reaches the face from its edge.

    Hair, hands and things come from outside; a patch within the face is a brow, a lid or a shadow.

    Args:
        found: (B,1,192,192) in [0,1].
        points: (B,468,2) px of the square.
    """
    coarse = functional.max_pool2d(found, GRID) > FAINT
    inside = functional.interpolate(marks(points)[:, :1], coarse.shape[-2:], mode="area") < EDGE
    joined = (coarse & ~inside).float()
    open_to = coarse.float()
    for _ in range(SIDE_PX // GRID):
        joined = widen(joined, 1) * open_to
    near = functional.interpolate(widen(joined, 1), found.shape[-2:], mode="bilinear")
    return found * near
