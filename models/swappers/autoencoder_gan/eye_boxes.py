"""Where the eyes are: boxes around two landmarks."""

from __future__ import annotations

import torch
from torch import Tensor

WIDE, HIGH = 0.31, 0.2
"""Half sides of a box, in distances between the eyes.

faceswap-GAN's preprocessing takes an eighth of the width and a fifteenth of the height of the
face detector's box; a box is taken as 2.5 of these distances wide and 3 high.
"""


def eye_boxes(landmarks_5: Tensor, size_px: int) -> Tensor:
    """(B,1,S,S) in [0,1]: 1 in a box around each eye, along the line through both.

    Edges are as soft as a pixel is wide.

    Args:
        landmarks_5: (B,5,2) in px of the crops, the eyes first.
        size_px: S.
    """
    eyes = landmarks_5[:, :2].float()
    along = eyes[:, 1] - eyes[:, 0]
    apart = along.norm(dim=1).clamp(min=1e-3)
    unit = along / apart[:, None]
    line = torch.arange(size_px, device=eyes.device, dtype=torch.float32)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    # (B,2,S,S): from each eye to each pixel.
    x = columns - eyes[:, :, 0, None, None]
    y = rows - eyes[:, :, 1, None, None]
    turn_x, turn_y = unit[:, 0, None, None, None], unit[:, 1, None, None, None]
    aside = (x * turn_x + y * turn_y).abs()
    above = (y * turn_x - x * turn_y).abs()
    half = apart[:, None, None, None]
    inside = (WIDE * half - aside + 0.5).clamp(0, 1) * (HIGH * half - above + 0.5).clamp(0, 1)
    return inside.amax(dim=1, keepdim=True)
