"""MobileFaceNet (Chen et al. 2018, arXiv 1804.07573), inference only: 112 px face -> 128 numbers.

Module names follow the pinned state dict, so that it loads strictly.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

EMBEDDING_DIM = 128
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# Expansion, channels, repeats, stride of the first.
BLOCKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


def _conv(
    in_channels: int, out_channels: int, size: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    convolution = nn.Conv2d(
        in_channels, out_channels, size, stride, size // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU6())


class SeparableConv(nn.Module):
    """Depthwise, then pointwise convolution, each normalised and rectified."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)
        self.pointwise = nn.Conv2d(64, 64, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.bn2 = nn.BatchNorm2d(64)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(B,64,h,w) -> (B,64,h,w)."""
        feature = torch.relu(self.bn1(self.depthwise(feature)))
        return torch.relu(self.bn2(self.pointwise(feature)))


class GlobalDepthwise(nn.Module):
    """One 7x7 weight per channel and position in place of average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(512, 512, 7, groups=512, bias=False)
        self.bn = nn.BatchNorm2d(512)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(B,512,7,7) -> (B,512,1,1)."""
        return self.bn(self.depthwise(feature))


class Bottleneck(nn.Module):
    """Inverted residual: widen, filter each channel, narrow; skips where shapes allow."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.skips = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            _conv(in_channels, hidden, size=1),
            _conv(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(B,C,h,w) -> (B,C',h/stride,w/stride)."""
        return feature + self.conv(feature) if self.skips else self.conv(feature)


class MobileFaceNet(nn.Module):
    """(B,3,112,112) RGB, ImageNet-normalised -> (B,128) embedding, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, stride=2)
        self.dw_conv = SeparableConv()
        blocks: list[nn.Module] = []
        channels = 64
        for expansion, width, repeats, stride in BLOCKS:
            for index in range(repeats):
                step = stride if index == 0 else 1
                blocks.append(Bottleneck(channels, width, step, expansion))
                channels = width
        self.features = nn.Sequential(*blocks)
        self.conv2 = _conv(channels, 512, size=1)
        self.gdconv = GlobalDepthwise()
        self.conv3 = nn.Conv2d(512, EMBEDDING_DIM, 1)
        self.bn = nn.BatchNorm2d(EMBEDDING_DIM)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        feature = self.conv2(self.features(self.dw_conv(self.conv1(image))))
        return self.bn(self.conv3(self.gdconv(feature))).flatten(1)


def load_mobilefacenet(path: Path) -> MobileFaceNet:
    """The network with the pinned state dict at `path`, in eval mode.

    Raises:
        RuntimeError: keys or shapes differ from the architecture.
    """
    network = MobileFaceNet()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


class ArcFaceInput(nn.Module):
    """MobileFaceNet behind ArcFace's input: (B,3,112,112) RGB as (x - 127.5) / 127.5."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: MobileFaceNet) -> None:
        super().__init__()
        self.network = network
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        self.register_buffer("scale", (0.5 / deviation).view(1, 3, 1, 1))
        self.register_buffer("shift", ((0.5 - mean) / deviation).view(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class; returns (B,128)."""
        return self.network(image * self.scale + self.shift)
