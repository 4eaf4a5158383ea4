"""Where eyes and mouth are: soft ellipses through the mesh's outlines."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from models.layers.feature_network import exact
from models.layers.uv_texture import OUTER_LIPS

EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
GROWN = 1.3
"""Half axes of the ellipse, in those of the outline: lids and the lips' rim count."""
FADE = 0.35
"""Width of the soft edge, in half axes."""
THINNEST = 0.02
"""Least half axis, share of the side: closed eyes are looked at as well."""


@cache
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _outlines(device: torch.device) -> tuple[Tensor, ...]:
    """Vertices of both eyes and of the mouth, as indices that lie on a device."""
    return tuple(torch.tensor(part, device=device) for part in (*EYES, OUTER_LIPS))


def eyes_mouth(landmarks_468: Tensor, size_px: int) -> Tensor:
    """Soft mask (B,1,S,S) in [0,1] of both eyes and the mouth.

    An ellipse that passes evenly spread points has twice their covariance as its form: each
    outline gives one, grown by `GROWN`, and the mask is 1 inside it.

    Args:
        landmarks_468: (B,468,2 or 3) in px of a crop of side `size_px`.
        size_px: S.
    """
    # Inverses in bf16 would be noise.
    with exact(landmarks_468.device):
        points = landmarks_468[..., :2].float()
        masks = [_ellipse(points[:, part], size_px) for part in _outlines(points.device)]
        return torch.stack(masks).amax(dim=0)


def _ellipse(outline: Tensor, size_px: int) -> Tensor:
    """Points (B,N,2) in px -> (B,1,S,S)."""
    centre = outline.mean(dim=1, keepdim=True)
    apart = outline - centre
    form = 2 * apart.transpose(1, 2) @ apart / outline.shape[1]
    thin = (THINNEST * size_px) ** 2 * torch.eye(2, device=outline.device)
    inverse = torch.linalg.inv(GROWN**2 * (form + thin))
    axis = torch.arange(size_px, dtype=torch.float32, device=outline.device)
    x = axis - centre[..., 0]
    y = axis - centre[..., 1]
    along = inverse[:, 0, 0, None, None] * x[:, None].square()
    down = inverse[:, 1, 1, None, None] * y[:, :, None].square()
    across = 2 * inverse[:, 0, 1, None, None] * x[:, None] * y[:, :, None]
    far = (along + down + across).clamp(min=0).sqrt()
    return ((1 + FADE - far) / FADE).clamp(0, 1)[:, None]
