"""Strided convolution down and two ways up, as in the first shared-encoder face swappers."""

from __future__ import annotations

from typing import Literal

from torch import nn

from models.layers.convolution import Convolution

Upsampling = Literal["pixel_shuffle", "nearest"]
SLOPE = 0.1
"""Negative slope of every LeakyReLU in these networks (deepfakes/faceswap, 2018)."""


def down(channels_in: int, channels_out: int) -> nn.Sequential:
    """(B,C,S,S) -> (B,C',S/2,S/2): convolution 5x5 of stride 2, LeakyReLU."""
    return nn.Sequential(Convolution(channels_in, channels_out, 5, 2), nn.LeakyReLU(SLOPE))


def grown(filters: int, kind: Upsampling) -> int:
    """Channels that `up` gives for so many filters."""
    return filters if kind == "pixel_shuffle" else 4 * filters


def up(channels_in: int, filters: int, kind: Upsampling) -> nn.Sequential:
    """(B,C,S,S) -> (B,`grown(filters, kind)`,2S,2S): convolution 3x3 to 4F channels, LeakyReLU.

    `pixel_shuffle` lays each four of them out as 2x2 px (sub-pixel convolution, Shi et al. 2016;
    the 2018 code's order of those channels differs from torch's). `nearest` keeps all of them and
    repeats pixels (the deepfakes chapter of the TensorFlow 2 book): the next convolution sees
    four times as many.
    """
    enlarge = nn.PixelShuffle(2) if kind == "pixel_shuffle" else nn.Upsample(scale_factor=2)
    return nn.Sequential(Convolution(channels_in, 4 * filters, 3), nn.LeakyReLU(SLOPE), enlarge)
