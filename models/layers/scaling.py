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


def up(channels_in: int, channels_out: int, kind: Upsampling) -> nn.Sequential:
    """(B,C,S,S) -> (B,C',2S,2S).

    `pixel_shuffle` convolves 3x3 to 4C' channels and lays each four out as 2x2 px (sub-pixel
    convolution, Shi et al. 2016; the 2018 code's order of those channels differs from torch's).
    `nearest` convolves 3x3 to C' and repeats pixels: a quarter of the weights and of the work.
    """
    wide = channels_out * (4 if kind == "pixel_shuffle" else 1)
    enlarge = nn.PixelShuffle(2) if kind == "pixel_shuffle" else nn.Upsample(scale_factor=2)
    return nn.Sequential(Convolution(channels_in, wide, 3), nn.LeakyReLU(SLOPE), enlarge)
