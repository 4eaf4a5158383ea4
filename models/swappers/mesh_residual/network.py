"""A narrow U-Net that works on blocks of 4x4 px and gives a picture of full size.

Detail comes in with the blocks (pixel-unshuffled) and leaves with them (depth-to-space, Shi et al.
2016, arXiv 1609.05158), so that no convolution runs at full resolution: the trunk has a sixteenth
of the pixels, and wide enough channels for matrix units. There is no normalisation; residual
branches begin small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK = 4
"""Side of the squares of pixels that become channels."""
BRANCH = 0.3
"""Weights of a residual branch's last layer begin at this share of the usual."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al. 2016, pre-activation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        with torch.no_grad():
            self.second.weight.mul_(BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> the same shape."""
        changed: Tensor = self.second(functional.silu(self.first(functional.silu(x))))
        return x + changed


class ResidualUNet(nn.Module):
    """Pictures and coarse maps -> a picture, three levels deep; the output begins at zero.

    Args:
        fine: channels given at full size.
        half: channels given at half size.
        low: channels given at a quarter of the size.
        out: channels of the result, at full size.
        width: channels of the first level; the second has 5/3 of it, the third twice as many.
    """

    def __init__(self, fine: int, half: int, low: int, out: int, width: int) -> None:
        super().__init__()
        given = fine * BLOCK**2 + half * 4 + low
        second, third = width * 5 // 3, width * 2
        self.enter = nn.Conv2d(given, width, 3, 1, 1)
        self.down_1 = ResidualBlock(width)
        self.to_2 = nn.Conv2d(width, second, 3, 2, 1)
        self.down_2 = ResidualBlock(second)
        self.to_3 = nn.Conv2d(second, third, 3, 2, 1)
        self.middle = ResidualBlock(third)
        self.from_3 = nn.Conv2d(third, second, 1)
        self.up_2 = ResidualBlock(second)
        self.from_2 = nn.Conv2d(second, width, 1)
        self.up_1 = ResidualBlock(width)
        self.leave = nn.Conv2d(width, out * BLOCK**2, 3, 1, 1)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, fine: Tensor, half: Tensor, low: Tensor) -> Tensor:
        """(B,fine,4h,4w), (B,half,2h,2w), (B,low,h,w) -> (B,out,4h,4w)."""
        parts = [functional.pixel_unshuffle(fine, BLOCK), functional.pixel_unshuffle(half, 2), low]
        x = torch.cat(parts, 1).to(self.enter.weight.dtype)
        first = self.down_1(self.enter(x.contiguous(memory_format=torch.channels_last)))
        second = self.down_2(self.to_2(first))
        third = self.middle(self.to_3(second))
        x = self.up_2(second + _grown(self.from_3(third), second))
        x = self.up_1(first + _grown(self.from_2(x), first))
        drawn: Tensor = self.leave(functional.silu(x))
        return functional.pixel_shuffle(drawn, BLOCK)


def _grown(small: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(small, like.shape[-2:])
