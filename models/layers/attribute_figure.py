"""FaceShifter's figure of attribute masks: where each level of the generator trusts whom."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

GAP_PX = 4


def fit(image: Tensor, side_px: int) -> Tensor:
    """(B,1 or 3,S,S) -> (B,3,side,side): larger ones averaged, smaller ones as visible squares."""
    wide = image.float().expand(-1, 3, -1, -1)
    if image.shape[-1] > side_px:
        return functional.interpolate(wide, (side_px, side_px), mode="bilinear", antialias=True)
    return functional.interpolate(wide, (side_px, side_px), mode="nearest-exact")


def attribute_figure(columns: list[Tensor], side_px: int = 96) -> Tensor:
    """Columns of pictures (B,1 or 3,S,S) in [-1,1] -> one picture (3,H,W), a row per face.

    Args:
        columns: any sides; one channel is grey.
        side_px: of each picture in the figure; white gaps of 4 px between them.
    """
    faces = torch.stack([fit(column, side_px) for column in columns], dim=1)
    padded = functional.pad(faces, (0, GAP_PX, 0, GAP_PX), value=1.0)
    rows = [torch.cat(list(row), dim=-1) for row in padded]
    return torch.cat(rows, dim=-2)[:, :-GAP_PX, :-GAP_PX]
