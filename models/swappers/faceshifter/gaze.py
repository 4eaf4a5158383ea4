"""Do two pictures of one pose look the same way?

GHOST (Groshev et al. 2022, IEEE Access 10) compares heat maps of eye landmarks, which a network
of its own (AdaptiveWing) draws. Here no further network is needed: the mesh says where the
target's lids are, and between them the dark of the iris against the white says where the eye
looks. Luminance between the lids is standardised per eye, so that neither the colour of the iris
nor the light counts for much.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

UPPER = ((246, 161, 160, 159, 158, 157, 173), (398, 384, 385, 386, 387, 388, 466))
LOWER = ((7, 163, 144, 145, 153, 154, 155), (382, 381, 380, 374, 373, 390, 249))
"""Points of the mesh on both lids, image-left and image-right eye, pairwise one above the other."""
ROWS = 5
LUMA = (0.299, 0.587, 0.114)
FLAT = 0.05
"""Added to the deviation of luminance in [-1,1]: a closed eye has no contrast to compare."""


def openings(landmarks_468: Tensor) -> Tensor:
    """Places between the lids: (B,468,2 or 3) in px -> (B,2,7,5,2) in px, from upper to lower."""
    points = landmarks_468[..., :2].float()
    upper, lower = points[:, torch.tensor(UPPER)], points[:, torch.tensor(LOWER)]
    share = ((torch.arange(ROWS, device=points.device) + 0.5) / ROWS).view(1, 1, 1, ROWS, 1)
    return torch.lerp(upper[:, :, :, None], lower[:, :, :, None], share)


def standardised(image: Tensor, places: Tensor) -> Tensor:
    """Luminance of (B,3,S,S) in [-1,1] at `places` (B,2,7,5,2), mean 0 per eye: (B,2,35)."""
    count, side = len(image), image.shape[-1]
    where = ((places + 0.5) * (2 / side) - 1).view(count, 1, -1, 2)
    weights = torch.tensor(LUMA, device=image.device).view(1, 3, 1, 1)
    luminance = (image.float() * weights).sum(dim=1, keepdim=True)
    seen = functional.grid_sample(luminance, where, padding_mode="border", align_corners=False)
    seen = seen.view(count, 2, -1)
    centred = seen - seen.mean(dim=2, keepdim=True)
    return centred / (centred.square().mean(dim=2, keepdim=True).add(1e-12).sqrt() + FLAT)


def gaze_distance(drawn: Tensor, target: Tensor, landmarks_468: Tensor) -> Tensor:
    """Mean squared difference of standardised luminance between the target's lids.

    Args:
        drawn: (B,3,S,S) in [-1,1], in the target's pose.
        target: the same.
        landmarks_468: (B,468,3) of the target, px.
    """
    places = openings(landmarks_468)
    known = standardised(target, places).detach()
    return (standardised(drawn, places) - known).square().mean()
