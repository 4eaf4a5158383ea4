"""A critic that is a U-Net, and one of codes: those of DeepFaceLab's SAEHD.

Schönfeld, Schiele, Khoreva: "A U-Net Based Discriminator for Generative Adversarial Networks"
(2020, arXiv 2002.12655): one verdict per patch in the middle, one per pixel at the end.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
DEEPEST = 9
WIDEST = 512


def receptive_field(strides: tuple[int, ...]) -> int:
    """Side in px of what one number sees after 3x3 convolutions of these strides."""
    field, jump = 1, 1
    for stride in strides:
        field += 2 * jump
        jump *= stride
    return field


def strides_for(patch_px: int) -> tuple[int, ...]:
    """Strides of at most nine 3x3 convolutions that see `patch_px` best; the first is 2.

    Of equally good ones the fewest, then those that shrink most.
    """
    several = ((2, *rest) for count in range(DEEPEST) for rest in product((1, 2), repeat=count))

    def rank(strides: tuple[int, ...]) -> tuple[int, ...]:
        field = receptive_field(strides)
        return (abs(field - patch_px), field, len(strides), -sum(strides), *strides)

    return min(several, key=rank)


class PatchUNet(nn.Module):
    """(B,C,S,S) -> verdicts (B,1,s,s) per patch and (B,1,S,S) per pixel, as logits.

    Args:
        channels: C.
        patch_px: what a verdict per patch sees.
        width: channels of the first layer; they double up to 512.
    """

    def __init__(self, channels: int, patch_px: int, width: int) -> None:
        super().__init__()
        strides = strides_for(patch_px)
        wide = [min(width * 2**level, WIDEST) for level in range(len(strides) + 1)]
        self.enter = nn.Conv2d(channels, wide[0], 1)
        self.downs = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride, 1)
            for before, after, stride in zip(wide, wide[1:], strides, strict=False)
        )
        self.middle = nn.Conv2d(wide[-1], wide[-1], 1)
        self.patch_verdict = nn.Conv2d(wide[-1], 1, 1)
        ups = []
        for level in range(len(strides), 0, -1):
            given = wide[level] * (1 if level == len(strides) else 2)
            ups.append(nn.ConvTranspose2d(given, wide[level - 1], 3, strides[level - 1], 1))
        self.ups = nn.ModuleList(ups)
        self.pixel_verdict = nn.Conv2d(2 * wide[0], 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        feature = functional.leaky_relu(self.enter(image), SLOPE)
        passed = []
        for layer in self.downs:
            passed.append(feature)
            feature = functional.leaky_relu(layer(feature), SLOPE)
        patches = self.patch_verdict(feature)
        feature = functional.leaky_relu(self.middle(feature), SLOPE)
        for layer in self.ups:
            across = passed.pop()
            # Odd sides have no single size before them: the one they came from is named.
            grown = layer(feature, output_size=list(across.shape[-2:]))
            feature = torch.cat([across, functional.leaky_relu(grown, SLOPE)], dim=1)
        return patches, self.pixel_verdict(feature)


class CodeCritic(nn.Module):
    """Code map (B,C,side,side) -> verdicts (B,1,s,s) as logits.

    1 + side // 8 convolutions of stride 2 with 256, 512, ... 2048 channels, the first 4x4, the
    others 3x3.
    """

    def __init__(self, channels: int, side: int, width: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for level in range(1 + side // 8):
            after = width * min(2**level, 8)
            kernel = 4 if level == 0 else 3
            layers += [nn.Conv2d(channels, after, kernel, 2, 1), nn.LeakyReLU(0.1)]
            channels = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 1))

    def forward(self, code: Tensor) -> Tensor:
        """See the class."""
        verdict: Tensor = self.layers(code)
        return verdict
