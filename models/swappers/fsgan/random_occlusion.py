"""Random occlusion: parts of a face are hidden, so that a network learns to paint them."""

from __future__ import annotations

import torch
from torch import Tensor

from models.layers import random_numbers

BEHIND_HAIR = 0.5
"""Chance that the face is hidden above a line, as by a fringe."""
SPOTS = 2
"""Ellipses per face."""


def random_occlusion(face: Tensor) -> Tensor:
    """Where faces are hidden, bool (B,1,S,S): a fringe half of the time, and ellipses.

    Args:
        face: (B,1,S,S), where the faces are, in [0,1] or bool; sizes are shares of its height.
    """
    count, size_px, device = len(face), face.shape[-1], face.device
    at = (torch.arange(size_px, device=device) + 0.5) / size_px
    rows, columns = at[:, None], at[None, :]
    used = face.amax((1, 3)).float()
    top = (used.argmax(1) / size_px)[:, None, None]
    high = (used.sum(1) / size_px)[:, None, None]
    chance = random_numbers.rand(count, 3 + 4 * SPOTS).to(device, non_blocking=True)
    chance = chance[..., None, None]
    slant = (chance[:, 0] - 0.5) * (columns - 0.5)
    line = top + high * 0.4 * chance[:, 1] + slant
    hidden = (rows < line) & (chance[:, 2] < BEHIND_HAIR)
    for spot in chance[:, 3:].reshape(count, SPOTS, 4, 1, 1).unbind(1):
        across, down, wide, tall = spot.unbind(1)
        centre = (0.5 + high * (across - 0.5), top + high * down)
        half = (high * (0.04 + 0.16 * wide), high * (0.04 + 0.16 * tall))
        apart = ((columns - centre[0]) / half[0]).square() + ((rows - centre[1]) / half[1]).square()
        hidden = hidden | (apart < 1)
    return hidden[:, None]
