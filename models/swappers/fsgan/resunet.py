"""The residual U-Net at two scales that draws all pictures of FSGAN.

Nirkin, Keller, Hassner, "FSGAN" (ICCV 2019) and its second version's code: a base at half the
side, and an enhancer at the whole one that adds what the base does not resolve (as pix2pixHD,
Wang et al. 2018). Skips are added, not concatenated; every level ends in residual blocks.
Convolutions pad by reflection, up-sampling is bilinear. The base is trained alone first, which is
the paper's growth from 128 to 256 px.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.norm import PreciseBatchNorm
from models.layers.reflect_padded_convolution import Reflected
from models.swappers.fsgan.heatmaps import SIGMA, profiles, resized

ENDS_KERNEL = 7
"""Side of the first and the last kernels."""
BLOCKS = (2, 2, 2, 2)
"""Residual blocks per level, from the finest down."""
MOST = 1024
"""No level has more channels."""


def _conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Without bias, padded by reflection to its side divided by `stride`."""
    return Reflected(channels_in, channels_out, kernel, stride, bias=False)


def _layer(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    """Convolution 3x3, batch norm, ReLU."""
    convolution = _conv(channels_in, channels_out, stride=stride)
    return [convolution, PreciseBatchNorm(channels_out), nn.ReLU()]


class Residual(nn.Module):
    """(B,C,S,S) -> (B,C,S,S): two convolutions around which the input passes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        last = [_conv(width, width), PreciseBatchNorm(width)]
        self.change = nn.Sequential(*_layer(width, width), *last)

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        return torch.relu(feature + self.change(feature))


class Grow(nn.Module):
    """(B,C,S,S) -> (B,C',2S,2S): bilinear, then a convolution."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(*_layer(channels_in, channels_out))

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        large = functional.interpolate(feature, scale_factor=2.0, mode="bilinear")
        drawn: Tensor = self.layer(large)
        return drawn


class Level(nn.Module):
    """(B,C,S,S) -> (B,C,S,S): what deeper levels add, then the residual blocks of this one.

    Args:
        width: channels here; twice as many below, up to `most`.
        blocks: residual blocks here and on each level below.
        most: channels at most.
    """

    def __init__(self, width: int, blocks: Sequence[int], most: int) -> None:
        super().__init__()
        self.below: nn.Sequential | None = None
        if len(blocks) > 1:
            deep = min(2 * width, most)
            shrink = nn.Sequential(*_layer(width, deep, 2), *_layer(deep, deep))
            self.below = nn.Sequential(shrink, Level(deep, blocks[1:], most), Grow(deep, width))
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks[0])))

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        if self.below is not None:
            feature = feature + self.below(feature)
        drawn: Tensor = self.blocks(feature)
        return drawn


class Stem(nn.Module):
    """The first convolution (7x7, batch norm, ReLU), over a picture and landmarks' heat maps.

    The heat maps' share of the convolution is computed from the profiles of their Gaussians: a
    kernel's columns meet the rows' profile first, its rows the columns' profile then. That is the
    same sum, padding included, with a seventh of the products and no map ever drawn.

    Args:
        channels: of the picture.
        width: channels of the result.
        landmarks: heat maps behind the picture's channels.
        sigma: width of the landmarks' Gaussians, share of the side.
    """

    def __init__(self, channels: int, width: int, landmarks: int, sigma: float) -> None:
        super().__init__()
        self.channels, self.sigma = channels, sigma
        self.convolution = _conv(channels + landmarks, width, ENDS_KERNEL)
        self.norm = PreciseBatchNorm(width)

    def forward(self, image: Tensor, points: Tensor | None) -> Tensor:
        """(B,C,S,S) and points (B,N,2) in px of it -> (B,width,S,S)."""
        if points is None:
            drawn: Tensor = self.convolution(image)
        else:
            weight, edge = self.convolution.weight, ENDS_KERNEL // 2
            padded = functional.pad(image, [edge] * 4, mode="reflect")
            drawn = functional.conv2d(padded, weight[:, : self.channels])
            drawn = drawn + self._of_landmarks(points, weight[:, self.channels :], image.shape[-1])
        return torch.relu(self.norm(drawn))

    def _of_landmarks(self, points: Tensor, weight: Tensor, size_px: int) -> Tensor:
        """The convolution of the heat maps with `weight` (C,N,7,7): (B,C,S,S), channels last.

        One picture at a time, whose products then stay near the processor.
        """
        lines = profiles(points, size_px, self.sigma, ENDS_KERNEL // 2).to(weight.dtype)
        kernels = weight.permute(1, 2, 3, 0).flatten(0, 1)  # (7N,7,C)
        drawn = []
        for one in lines.unfold(3, ENDS_KERNEL, 1).unbind(0):
            columns, rows = one.unbind(1)  # (N,S,7) each
            known = torch.bmm(columns.repeat_interleave(ENDS_KERNEL, 0), kernels)
            drawn.append(rows.transpose(0, 1).flatten(1) @ known.flatten(1))
        shape = (len(points), size_px, size_px, len(weight))
        return torch.stack(drawn).reshape(shape).permute(0, 3, 1, 2)


class ResUnet(nn.Module):
    """Picture (B,C,S,S), and landmarks where it has heat maps, -> one (B,H,S,S) per head.

    Args:
        channels: of the picture.
        heads: channels of each result.
        width: channels at the finest level; each level down has twice as many.
        blocks: residual blocks per level, the finest first; their number is the depth.
        most: channels at most.
        landmarks: heat maps behind the picture's channels.
        sigma: width of the landmarks' Gaussians, share of the side.
    """

    def __init__(
        self,
        channels: int,
        heads: Sequence[int] = (3,),
        width: int = 128,
        blocks: Sequence[int] = BLOCKS,
        most: int = MOST,
        *,
        landmarks: int = 0,
        sigma: float = SIGMA,
    ) -> None:
        super().__init__()
        deep = min(2 * width, most)
        self.base_stem = Stem(channels, deep, landmarks, sigma)
        self.base = Level(deep, blocks[1:], most)
        self.base_heads = nn.ModuleList(_conv(deep, count, ENDS_KERNEL) for count in heads)
        self.stem = Stem(channels, width, landmarks, sigma)
        self.grow = Grow(deep, width)
        self.level = Level(width, blocks[:1], most)
        self.heads = nn.ModuleList(_conv(width, count, ENDS_KERNEL) for count in heads)

    def small_parameters(self) -> list[nn.Parameter]:
        """What is trained while the base draws alone."""
        parts = (self.base_stem, self.base, self.base_heads)
        return [parameter for part in parts for parameter in part.parameters()]

    def whole_parameters(self) -> list[nn.Parameter]:
        """What is trained at the whole side: all but the base's own heads."""
        parts = (self.base_stem, self.base, self.stem, self.grow, self.level, self.heads)
        return [parameter for part in parts for parameter in part.parameters()]

    def forward(
        self, image: Tensor, points: Tensor | None = None, *, small: bool = False
    ) -> tuple[Tensor, ...]:
        """Draw; values are not limited.

        Args:
            image: (B,C,S,S).
            points: landmarks (B,N,2) in px of `image`.
            small: the base alone, `image` being of its size.
        """
        if small:
            feature = self.base(self.base_stem(image, points))
            return tuple(head(feature) for head in self.base_heads)
        size_px = image.shape[-1]
        half = None if points is None else resized(points, size_px, size_px // 2)
        coarse = self.base(self.base_stem(functional.avg_pool2d(image, 2), half))
        feature = self.level(self.stem(image, points) + self.grow(coarse))
        return tuple(head(feature) for head in self.heads)
