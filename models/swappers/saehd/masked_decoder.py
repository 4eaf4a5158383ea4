"""Decoder that draws a picture and, in a narrow branch of its own, the mask that belongs to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.convolution import Convolution
from models.layers.resampling import up
from models.swappers.saehd.dense_codes import Residual


class Doubled(nn.Module):
    """(B,C,S,S) -> (B,3,2S,2S): four convolutions to RGB, one for each pixel of a 2x2 block.

    Option d of DeepFaceLab: twice the resolution for the price of 28 C weights per channel; the
    first convolution is 1x1, the others 3x3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(Convolution(channels, 3, side) for side in (1, 3, 3, 3))

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        places = torch.stack([part(feature) for part in self.parts], dim=2)
        return functional.pixel_shuffle(places.flatten(1, 2), 2)


def _wide(width: int, options: str) -> list[int]:
    """Channels after each doubling."""
    return [width * factor for factor in ((8, 8, 4, 2) if "t" in options else (8, 4, 2))]


class MaskedDecoder(nn.Module):
    """Code map (B,C,side,side) -> picture (B,3,S,S) and mask (B,1,S,S), both in [0,1].

    Args:
        channels: C.
        width: d; the picture's branch has d x (8,4,2) channels, with t d x (8,8,4,2), each
            doubling followed by a residual block.
        mask_width: m; the mask's branch has m x (8,4,2), with d m x 1 after a last doubling.
        options: some of "udt".
    """

    def __init__(self, channels: int, width: int, mask_width: int, options: str) -> None:
        super().__init__()
        wide, narrow = _wide(width, options), _wide(mask_width, options)
        narrow += [mask_width] if "d" in options else []
        parts: list[nn.Module] = []
        for before, after in zip([channels, *wide], wide, strict=False):
            parts += [up(before, after, "pixel_shuffle"), Residual(after)]
        out = Doubled(wide[-1]) if "d" in options else Convolution(wide[-1], 3, 1)
        self.picture_branch = nn.Sequential(*parts, out)
        masks = zip([channels, *narrow], narrow, strict=False)
        ups = [up(before, after, "pixel_shuffle") for before, after in masks]
        self.mask_branch = nn.Sequential(*ups, Convolution(narrow[-1], 1, 1))

    def picture(self, code: Tensor) -> Tensor:
        """The picture alone."""
        return torch.sigmoid(self.picture_branch(code).float())

    def mask(self, code: Tensor) -> Tensor:
        """The mask alone, at a fraction of the work."""
        return torch.sigmoid(self.mask_branch(code).float())

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        return self.picture(code), self.mask(code)
