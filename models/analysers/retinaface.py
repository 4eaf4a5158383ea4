"""RetinaFace with a MobileNet-0.25 backbone (Deng et al. 2019, arXiv 1905.00641), inference only.

Module names follow the published state dict, so that it loads strictly. `SCRFDHead` reshapes the
outputs into those of SCRFD (arXiv 2105.04714), which insightface's model zoo decodes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

STRIDES = (8, 16, 32)
ANCHOR_SIZES_PX = ((16.0, 32.0), (64.0, 128.0), (256.0, 512.0))
VARIANCES = (0.1, 0.2)
MEAN_BGR = (104.0, 117.0, 123.0)
LEAK = 0.1


def _conv(in_channels: int, out_channels: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.LeakyReLU(LEAK))


def _linear_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


def _separable(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False)
    return nn.Sequential(
        depthwise,
        nn.BatchNorm2d(in_channels),
        nn.LeakyReLU(LEAK),
        *_conv(in_channels, out_channels, size=1),
    )


class Backbone(nn.Module):
    """MobileNet v1 at a quarter of its width; features at strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _conv(3, 8, stride=2),
            _separable(8, 16),
            _separable(16, 32, 2),
            _separable(32, 32),
            _separable(32, 64, 2),
            _separable(64, 64),
        )
        self.stage2 = nn.Sequential(
            _separable(64, 128, 2), *[_separable(128, 128) for _ in range(5)]
        )
        self.stage3 = nn.Sequential(_separable(128, 256, 2), _separable(256, 256))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B,3,H,W) -> features (B,64,H/8,W/8), (B,128,H/16,W/16), (B,256,H/32,W/32)."""
        fine = self.stage1(image)
        middle = self.stage2(fine)
        return fine, middle, self.stage3(middle)


class FeaturePyramid(nn.Module):
    """Carries coarse features down to the finer levels."""

    def __init__(self) -> None:
        super().__init__()
        self.output1 = _conv(64, 64, size=1)
        self.output2 = _conv(128, 64, size=1)
        self.output3 = _conv(256, 64, size=1)
        self.merge1 = _conv(64, 64)
        self.merge2 = _conv(64, 64)

    def forward(
        self, features: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Backbone features -> three levels of 64 channels, finest first."""
        fine, middle, coarse = (
            self.output1(features[0]),
            self.output2(features[1]),
            self.output3(features[2]),
        )
        # Sizes are multiples of 32, so that the levels differ by exactly two.
        middle = self.merge2(middle + functional.interpolate(coarse, scale_factor=2.0))
        fine = self.merge1(fine + functional.interpolate(middle, scale_factor=2.0))
        return fine, middle, coarse


class ContextModule(nn.Module):
    """SSH context (Najibi et al. 2017): views of 3, 5 and 7 px side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3X3 = _linear_conv(64, 32)
        self.conv5X5_1 = _conv(64, 16)
        self.conv5X5_2 = _linear_conv(16, 16)
        self.conv7X7_2 = _conv(16, 16)
        self.conv7x7_3 = _linear_conv(16, 16)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(B,64,h,w) -> (B,64,h,w)."""
        shared = self.conv5X5_1(feature)
        views = [
            self.conv3X3(feature),
            self.conv5X5_2(shared),
            self.conv7x7_3(self.conv7X7_2(shared)),
        ]
        return functional.relu(torch.cat(views, dim=1))


class Head(nn.Module):
    """A 1x1 convolution whose channels are `width` numbers for each of two anchors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.conv1x1 = nn.Conv2d(64, 2 * width, 1)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(B,64,h,w) -> (B, h*w*2, width), by row, column, anchor."""
        return self.conv1x1(feature).permute(0, 2, 3, 1).reshape(feature.shape[0], -1, self.width)


class RetinaFace(nn.Module):
    """The network as published; `forward` gives raw regressions per level."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Backbone()
        self.fpn = FeaturePyramid()
        self.ssh1, self.ssh2, self.ssh3 = ContextModule(), ContextModule(), ContextModule()
        self.ClassHead = nn.ModuleList(Head(2) for _ in STRIDES)
        self.BboxHead = nn.ModuleList(Head(4) for _ in STRIDES)
        self.LandmarkHead = nn.ModuleList(Head(10) for _ in STRIDES)

    def forward(self, image: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """BGR minus `MEAN_BGR` -> per level (class, box, points).

        Input is (B,3,H,W), H and W multiples of 32; each output is
        (B, H/stride * W/stride * 2, 2 | 4 | 10).
        """
        levels = self.fpn(self.body(image))
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        features = [context(level) for context, level in zip(contexts, levels, strict=True)]
        return [
            (self.ClassHead[i](f), self.BboxHead[i](f), self.LandmarkHead[i](f))
            for i, f in enumerate(features)
        ]


def load_retinaface(path: Path) -> RetinaFace:
    """The network with the pinned state dict at `path`, in eval mode.

    Raises:
        RuntimeError: keys or shapes differ from the architecture.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = RetinaFace()
    network.load_state_dict({key.removeprefix("module."): v for key, v in state.items()})
    return network.eval()


class SCRFDHead(nn.Module):
    """RetinaFace with the input and the nine outputs of SCRFD.

    Input: (B,3,H,W) RGB as (x - 127.5) / 128. Outputs: scores (B,N,1), boxes (B,N,4) and points
    (B,N,10) for strides 8, 16, 32, as distances from (column, row) * stride in units of the stride.
    """

    mean: torch.Tensor

    def __init__(self, network: RetinaFace) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1))
        for index, (stride, sizes) in enumerate(zip(STRIDES, ANCHOR_SIZES_PX, strict=True)):
            unit = torch.tensor(sizes) / stride
            self.register_buffer(f"unit{index}", unit.view(1, 1, 2, 1))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See the class."""
        bgr = image.flip(1) * 128.0 + 127.5 - self.mean
        scores, boxes, points = [], [], []
        for index, (classes, box, landmarks) in enumerate(self.network(bgr)):
            unit = getattr(self, f"unit{index}")
            scores.append(functional.softmax(classes, dim=-1)[..., 1:])
            boxes.append(self._distances(box, unit))
            points.append(self._offsets(landmarks, unit))
        return (*scores, *boxes, *points)

    @staticmethod
    def _distances(box: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        """Centre and logarithmic size -> left, top, right, bottom distances."""
        batch = box.shape[0]
        pairs = box.view(batch, -1, 2, 4)
        # RetinaFace's anchors stand in the middle of a cell, SCRFD's at its corner: 0.5.
        centre = pairs[..., :2] * VARIANCES[0] * unit + 0.5
        half = torch.exp(pairs[..., 2:] * VARIANCES[1]) * unit * 0.5
        return torch.cat([half - centre, half + centre], dim=-1).view(batch, -1, 4)

    @staticmethod
    def _offsets(landmarks: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        batch = landmarks.shape[0]
        pairs = landmarks.view(batch, -1, 2, 10)
        return (pairs * VARIANCES[0] * unit + 0.5).view(batch, -1, 10)
