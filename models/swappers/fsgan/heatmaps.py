"""Landmarks as heat maps: the 98 points that tell FSGAN's generator the pose and the expression.

Nirkin, Keller, Hassner, "FSGAN" (ICCV 2019) draws each landmark as a Gaussian in a channel of its
own. Its second version takes the 98 points of WFLW (Wu et al. 2018); here a subset of the face
mesh stands for them: 33 points of the face's outline (which on the mesh goes on over the
forehead), nine per brow, nine of the nose, eight per eye, twelve and eight of the lips, and the
middle of each eye in the place of the pupils, which the mesh does not have: gaze is not conveyed.

A Gaussian is the product of a row's and a column's profile. Layers that take the profiles never
draw the maps (models/swappers/fsgan/resunet.py).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

OUTLINE = (
    *(297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67),
)
BROWS = (
    *(70, 63, 105, 66, 107, 55, 65, 52, 53),
    *(300, 293, 334, 296, 336, 285, 295, 282, 283),
)
NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
EYES = (33, 161, 159, 157, 133, 154, 145, 163, 263, 388, 386, 384, 362, 381, 374, 390)
LIPS = (
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),
    *(78, 81, 13, 311, 308, 402, 14, 178),
)
VERTICES = (*OUTLINE, *BROWS, *NOSE, *EYES, *LIPS)
COUNT = len(VERTICES) + 2
SIGMA = 1.5 / 64
"""Width of a landmark's Gaussian as a share of the side: HRNet's 1.5 px on maps of 64 px."""


@cache
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _vertices(device: torch.device) -> tuple[Tensor, Tensor]:
    """`VERTICES` and `EYES` as indices that lie on a device."""
    return torch.tensor(VERTICES, device=device), torch.tensor(EYES, device=device)


def landmarks(meshes: Tensor) -> Tensor:
    """The points that are drawn, (B,98,2) in px, of meshes (B,468,2 or 3); float32."""
    flat = meshes[..., :2].float()
    vertices, around = _vertices(flat.device)
    eyes = flat[:, around].reshape(-1, 2, 8, 2).mean(2)
    return torch.cat([flat[:, vertices], eyes], 1)


def resized(points: Tensor, from_px: int, to_px: int) -> Tensor:
    """Points in px of pictures of `from_px`, in px of the same pictures at `to_px`."""
    scale = to_px / from_px
    return (points + 0.5) * scale - 0.5


def profiles(points: Tensor, size_px: int, sigma: float = SIGMA, edge_px: int = 0) -> Tensor:
    """Both profiles of each Gaussian, along the columns (x) and along the rows (y).

    Args:
        points: (B,N,2) in px.
        size_px: side of the maps.
        sigma: width of the Gaussians, share of the side.
        edge_px: positions added on either side, where the map is mirrored at its outermost pixel.

    Returns:
        (B,N,2,size_px + 2 * edge_px), 1 on the landmark.
    """
    at = torch.arange(-edge_px, size_px + edge_px, device=points.device).abs()
    at = (size_px - 1) - (size_px - 1 - at).abs()
    apart = (at.to(points) - points[..., None]) / (sigma * size_px)
    return torch.exp(-0.5 * apart.square())


def heatmaps(points: Tensor, size_px: int, sigma: float = SIGMA) -> Tensor:
    """Maps (B,N,size_px,size_px) in [0,1], 1 on the landmark, of points (B,N,2) in px."""
    columns, rows = profiles(points, size_px, sigma).unbind(2)
    return rows[..., :, None] * columns[..., None, :]
