"""A narrow VGG-19 with random weights, in the layout of torchvision's."""

from __future__ import annotations

import torch
from torch import nn

WIDTH = 4
TAPS = (1, 6, 11, 20, 29)
"""Places of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 under `features`."""
PLAN = (1, 1, "M", 2, 2, "M", 4, 4, 4, 4, "M", 8, 8, 8, 8, "M", 8, 8, 8, 8, "M")
"""Configuration E of the paper, in units of the width."""


def plain_vgg19(width: int = WIDTH) -> nn.Sequential:
    """The `features` part: convolutions, ReLUs and poolings one after the other."""
    torch.manual_seed(7)
    layers: list[nn.Module] = []
    channels = 3
    for part in PLAN:
        if isinstance(part, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, part * width, 3, padding=1), nn.ReLU()]
            channels = part * width
    for layer in layers:
        if isinstance(layer, nn.Conv2d):  # features that neither vanish nor grow with depth
            nn.init.kaiming_normal_(layer.weight)
    return nn.Sequential(*layers)


def state_dict(width: int = WIDTH) -> dict[str, torch.Tensor]:
    """The whole network's weights, with those of a classifier that losses have no use for."""
    layers = plain_vgg19(width).state_dict()
    state = {f"features.{name}": weight for name, weight in layers.items()}
    return state | {"classifier.6.weight": torch.zeros(10, 4), "classifier.6.bias": torch.zeros(10)}
