"""The segmentation network of FSGAN: which pixels are face, which hair, which neither.

Nirkin, Keller, Hassner, "FSGAN" (ICCV 2019), Gs: the U-Net of Ronneberger, Fischer, Brox (2015)
with padding, batch norm and bilinear up-sampling, 64 to 1024 channels, three classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.norm import PreciseBatchNorm

CLASSES = 3
"""Background, skin of the face, hair, as `face_parts` numbers them."""


class Double(nn.Sequential):
    """(B,C,S,S) -> (B,C',S,S): twice convolution 3x3, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        layers: list[nn.Module] = []
        for channels in (channels_in, channels_out):
            convolution = nn.Conv2d(channels, channels_out, 3, padding=1, bias=False)
            layers += [convolution, PreciseBatchNorm(channels_out), nn.ReLU()]
        super().__init__(*layers)


class SegmentationUNet(nn.Module):
    """Picture (B,3,S,S) in [-1,1] -> logits (B,3,S,S); S is a multiple of 2^depth.

    Args:
        width: channels at the finest level; each level down has twice as many.
        depth: levels below the finest one. The paper: 64 and 4.
        classes: channels of the logits.
    """

    def __init__(self, width: int = 64, depth: int = 4, classes: int = CLASSES) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.entry = Double(3, width)
        self.down = nn.ModuleList(Double(c, 2 * c) for c in widths[:-1])
        self.up = nn.ModuleList(Double(3 * c, c) for c in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        feature = self.entry(image)
        skips = []
        for level in self.down:
            skips.append(feature)
            feature = level(functional.max_pool2d(feature, 2))
        for level in self.up:
            large = functional.interpolate(feature, scale_factor=2.0, mode="bilinear")
            feature = level(torch.cat([skips.pop(), large], 1))
        logits: Tensor = self.head(feature)
        return logits
