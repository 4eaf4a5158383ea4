"""FaceShifter's attribute encoder: what of the target has to stay, at every resolution.

A U-Net over the target's crop; the maps of its way up, the coarsest first, tell the generator
pose, expression, light and background. Li et al., "FaceShifter: Towards High Fidelity And
Occlusion Aware Face Swapping" (2019, arXiv 1912.13457), section 3.1. With only the three coarsest
maps the result blurs, says the paper.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.norm import PreciseBatchNorm

SLOPE = 0.1
"""Negative slope of LeakyReLU."""
FIRST, WIDEST = 32, 1024
"""Channels at half the crop's side; they double with each halving, up to the widest."""


def scaled(channels: int, width: float) -> int:
    """`channels` of the paper times `width`, at least 4."""
    return max(4, round(channels * width))


def natural_depth(size_px: int) -> int:
    """Halvings of a side until at least 2 px are left: 7 at 256 px, 5 at 96 and 64."""
    depth = 0
    while size_px % 2 == 0 and size_px >= 4:
        size_px //= 2
        depth += 1
    return depth


def narrow(channels_in: int, channels_out: int) -> nn.Sequential:
    """(B,C,S,S) -> (B,C',S/2,S/2): convolution 4x4 of stride 2, batch norm, LeakyReLU."""
    convolution = nn.Conv2d(channels_in, channels_out, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, PreciseBatchNorm(channels_out), nn.LeakyReLU(SLOPE))


def widen(channels_in: int, channels_out: int) -> nn.Sequential:
    """(B,C,S,S) -> (B,C',2S,2S): transposed convolution 4x4, batch norm, LeakyReLU."""
    convolution = nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, PreciseBatchNorm(channels_out), nn.LeakyReLU(SLOPE))


def double(image: Tensor) -> Tensor:
    """(B,C,S,S) -> (B,C,2S,2S), bilinear."""
    return functional.interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)


class UNet(nn.Module):
    """(B,C,S,S) -> maps from the bottleneck up to S/2, the coarsest first.

    Each step up is concatenated with the map of its size from the way down.

    Args:
        channels_in: of the picture.
        wide: channels after each halving.
    """

    def __init__(self, channels_in: int, wide: list[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(narrow(a, b) for a, b in pairwise([channels_in, *wide]))
        beside = wide[-2::-1]
        given = [wide[-1], *(2 * channels for channels in beside)]
        self.up = nn.ModuleList(widen(a, b) for a, b in zip(given[:-1], beside, strict=True))
        self.channels = given

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class; `channels` lists those of the maps."""
        passed: list[Tensor] = []
        for layer in self.down:
            image = layer(image)
            passed.append(image)
        maps = [passed.pop()]
        for layer in self.up:
            maps.append(torch.cat([layer(maps[-1]), passed.pop()], dim=1))
        return maps


class AttributeEncoder(nn.Module):
    """(B,3,S,S) in [-1,1] -> depth + 1 maps of sides S / 2**depth, ..., S/2, S.

    At 256 px and width 1: 8 maps of 1024, 2048, 1024, 512, 256, 128, 64, 64 channels at
    2, 4, ..., 256 px; the last is the one before, enlarged.

    Args:
        depth: halvings; `natural_depth` of the crop's side takes it to 2 or 3 px.
        width: factor of all channels.
    """

    def __init__(self, depth: int, width: float = 1.0) -> None:
        super().__init__()
        wide = [scaled(min(FIRST * 2**level, WIDEST), width) for level in range(depth)]
        self.net = UNet(3, wide)
        self.channels = [*self.net.channels, self.net.channels[-1]]

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class; `channels` lists those of the maps."""
        maps: list[Tensor] = self.net(image)
        return [*maps, double(maps[-1])]
