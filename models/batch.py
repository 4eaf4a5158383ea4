"""Crops as tensors: in batches, all those of an identity, and from pixels and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

Batch = dict[str, Tensor]
"""Columns of crops by name, first dimension B.

"crop" (B,3,S,S) float32 RGB in [-1,1]; "mask" (B,1,S,S) float32 in [0,1]; "landmarks_468"
(B,468,3) and "landmarks_5" (B,5,2) float32 in px of these crops; "pose_deg" (B,3) yaw, pitch,
roll; "similarity", "sharpness", "mesh_error" (B,). S is the family's `size_px`; the crops show
the central `coverage` of align's crops.

Batches of `losses` hold "crop", "warped" and, where `needs` names them, "mask" and landmarks; in
pairs (`Sampling`) also "same" (B,) float32, 1 where both sides show one identity, and
"identity_index" (B,) int64, numbered alike on both sides.

A source that `swap` is given by its appearance map (`source_views`) also holds "map_points"
(B+4,2) float32, yaw and pitch in degrees of its crops and of four empty corners, and
"map_triangles" (T,3) int64, indices of points.
"""


class Crops(Protocol):
    """All crops of an identity or of a pool, as a family sees them before training."""

    @property
    def identity(self) -> str:
        """Name of the identity or pool."""

    def __len__(self) -> int:
        """Number of crops."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Crops in a fixed order, in batches of at most `size`, as they are (no augmentation)."""


def as_image(batch: Tensor) -> Tensor:
    """uint8 (B,S,S,3) RGB -> float32 (B,3,S,S) in [-1,1], contiguous."""
    return batch.permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(127.5).sub_(1.0)


def as_pixels(image: Tensor) -> Tensor:
    """float (B,3,S,S) in [-1,1] -> uint8 (B,S,S,3) RGB, rounded."""
    scaled = image.float().clamp(-1, 1).add(1.0).mul(127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
