"""Soft borders of masks."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_border(size_px: int, share: float) -> Tensor:
    """(1,1,size_px,size_px) in [0,1]: 1 inside, falling smoothly to 0 towards the edge.

    Args:
        share: width of the fall as a share of the side; 0 gives ones.
    """
    centres = (torch.arange(size_px, dtype=torch.float32) + 0.5) / size_px
    edge = torch.minimum(centres, 1 - centres)
    ramp = (edge / share).clamp(0, 1) if share > 0 else torch.ones(size_px)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return (ramp[:, None] * ramp[None, :]).view(1, 1, size_px, size_px)
