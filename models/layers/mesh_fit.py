"""How a face that is carried on a mesh fits the target: its proportions, and where it ends."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.face_shape import describe
from models.layers.gaussian_blur import blur, widen
from models.layers.view_bank import ViewBank

TEXTURE_COLUMNS = ("mask", "landmarks_468", "similarity", "sharpness", "mesh_error")
"""What choosing views and carrying them takes of the shards, beside the crop."""


def shape_difference(
    bank: ViewBank, targets: Tensor, source_open: Tensor, target_open: Tensor
) -> Tensor:
    """Mean difference in shape between each target crop and the views that it would get.

    Compared at like expression, so that it is the face that differs and not the smile; and made
    symmetrical, since what differs between the halves is mostly error of the mesh.

    Args:
        bank: views of the source.
        targets: meshes (T,468,3) of the target, px.
        source_open: (3,) of the source, see `open_eyes`.
        target_open: (3,) of the target.

    Returns:
        (468,3) in cm, source minus target.
    """
    target = describe(targets, target_open)
    upper, lower = bank.weights(target.features).mean(0)
    shapes = bank.shapes(source_open)
    share = bank.sheet.lower[:468, None]
    wanted = torch.einsum("n,nvc->vc", upper, shapes) * (1 - share)
    wanted = wanted + torch.einsum("n,nvc->vc", lower, shapes) * share
    offset = wanted - target.shape.mean(0)
    flipped = offset[bank.sheet.mirror[:468]] * torch.tensor([-1.0, 1.0, 1.0])
    return (offset + flipped) / 2


def sheet_mask(mask: Tensor, rim: Tensor, face: Tensor, size_px: int) -> Tensor:
    """The target's mask over the sheet, fading out over the rim; hair before it is spared.

    The target's mask ends with the mesh: over the rim goes on what it says near by.

    Args:
        mask: (B,1,H,W) of the target, sides multiples of 8.
        rim: (B,1,H,W), 0 on the mesh, 1 at the end of the rim, -1 beside it.
        face: (B,1,H,W), 1 where the sheet lies and no hair before it.
        size_px: side of the whole crop.
    """
    near = widen(functional.avg_pool2d(mask, 8), size_px // 128)
    grown = functional.interpolate(near, scale_factor=8.0)
    reached = torch.where(rim > 0, grown, mask) * (1 - rim).clamp(0, 1)
    return blur(reached * face, size_px / 256).clamp(0, 1)
