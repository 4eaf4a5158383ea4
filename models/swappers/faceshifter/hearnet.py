"""FaceShifter's second stage: put back what the first took for a part of the face.

HEAR-Net, the heuristic error acknowledging refinement of Li et al. 2019 (arXiv 1912.13457),
section 3.2: a hand or hair in front of the target's face is lost when the first stage draws the
target with its own identity, so that the difference to the target shows where to look.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.swappers.faceshifter.attributes import UNet, double, scaled

CHANNELS = (32, 64, 128, 256, 512)
"""After each halving of the side."""


class HearNet(nn.Module):
    """First result and error (B,3,S,S) each -> refined picture (B,3,S,S) in [-1,1].

    Args:
        depth: halvings; the published five need crops of 64 px at least.
        width: factor of all channels.
    """

    def __init__(self, depth: int = 5, width: float = 1.0) -> None:
        super().__init__()
        self.net = UNet(6, [scaled(channels, width) for channels in CHANNELS[:depth]])
        self.picture = nn.Conv2d(self.net.channels[-1], 3, 3, padding=1)

    def forward(self, first: Tensor, error: Tensor) -> Tensor:
        """See the class; `error` is the target minus its own reconstruction by the first stage."""
        maps = self.net(torch.cat([first, error], dim=1))
        return torch.tanh(self.picture(double(maps[-1])).float())
