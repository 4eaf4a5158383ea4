"""The generator of pix2pix: picture to picture through one pixel, with a bridge at every level.

Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR
2017, arXiv 1611.07004), section 6.1.1: convolutions 4x4 of stride 2 down to a single pixel, the
same number up again, and each level's features handed across to the level of the same side.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from models.layers import random_numbers
from models.layers.norm import PreciseBatchNorm, ScaledInstanceNorm

Growth = Literal["transpose", "resize"]
Norm = Literal["batch", "instance"]
SLOPE = 0.2
"""Negative slope of LeakyReLU on the way down."""
WIDEST = 8
"""Channels grow up to this many times the first level's."""
DROPPED = 3
"""Levels on the way up with dropout, from the smallest."""
DROPOUT = 0.5


def _norm(channels: int, kind: Norm | None) -> list[nn.Module]:
    if kind is None:
        return []
    batch = kind == "batch"
    return [PreciseBatchNorm(channels) if batch else ScaledInstanceNorm(channels)]


def _down(channels_in: int, channels_out: int, norm: Norm | None, *, first: bool) -> nn.Sequential:
    """(B,C,S,S) -> (B,C',S/2,S/2)."""
    before = [] if first else [nn.LeakyReLU(SLOPE)]
    # A bias that the norm takes out again would only drift.
    layer = nn.Conv2d(channels_in, channels_out, 4, 2, 1, bias=norm is None)
    return nn.Sequential(*before, layer, *_norm(channels_out, norm))


def _grow(channels_in: int, channels_out: int, kind: Growth, *, bias: bool) -> list[nn.Module]:
    if kind == "transpose":
        return [nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=bias)]
    # An even kernel needs one pixel more on one side to keep the side as it is.
    conv = nn.Conv2d(channels_in, channels_out, 4, bias=bias)
    return [nn.Upsample(scale_factor=2), nn.ZeroPad2d((1, 2, 1, 2)), conv]


class TranslationUNet(nn.Module):
    """(B,3,S,S) -> (B,3,S,S) in [-1,1].

    `transpose` is the paper's way up, `resize` repeats pixels before a convolution, as a Keras
    version that is often taught does: no checkerboard, the same weights, four times the work.

    Where a level has one pixel, no norm follows: over a single picture it would leave nothing.
    Batch norm is the settled one (models/layers/norm.py); of a part of one picture there is no
    batch, and `instance` is what the paper's batch norm comes to there. Dropout is active in
    training mode alone.

    Args:
        size_px: S, a power of two; the network has log2(S) levels.
        width: channels of the first level.
        growth: see above.
        norm: between the convolutions.
        dropout: chance of each channel's value to be dropped in the three smallest levels up.
    """

    def __init__(
        self,
        size_px: int,
        width: int = 64,
        growth: Growth = "transpose",
        norm: Norm = "batch",
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        depth = size_px.bit_length() - 1
        wide = [min(width * 2**level, width * WIDEST) for level in range(depth)]
        norms: list[Norm | None] = [None, *[norm] * (depth - 2), None]
        self.down = nn.ModuleList(
            _down(wide[level - 1] if level else 3, wide[level], norms[level], first=not level)
            for level in range(depth)
        )
        self.up = nn.ModuleList()
        for level in reversed(range(depth)):
            fed = wide[level] * (1 if level == depth - 1 else 2)
            given = wide[level - 1] if level else 3
            parts = [nn.ReLU(), *_grow(fed, given, growth, bias=not level)]
            if level:
                parts += _norm(given, norm)
            if level and depth - level <= DROPPED and dropout:
                parts.append(random_numbers.Dropout(dropout))
            self.up.append(nn.Sequential(*parts))

    def forward(self, image: Tensor) -> Tensor:
        """Translate pictures."""
        kept: list[Tensor] = []
        for layer in self.down:
            image = layer(image)
            kept.append(image)
        feature = kept.pop()
        for number, layer in enumerate(self.up):
            if number:
                feature = torch.cat([feature, kept.pop()], 1)
            feature = layer(feature)
        return torch.tanh(feature.float())
