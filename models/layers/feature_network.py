"""What frozen networks inside a family have in common: maps of a crop that losses compare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Self

import torch
from torch import Tensor, nn


def freeze(network: nn.Module, saved: bool) -> None:
    """Turn all parameters and buffers below `network` into buffers, saved with the model or not."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=saved)
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, buffer, persistent=saved)


def exact(device: torch.device) -> AbstractContextManager[object]:
    """No autocast, on devices that have it."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def side_by_side(image: Tensor) -> Tensor:
    """The same (B,C,H,W) with the channels of a pixel next to each other in memory."""
    return image.contiguous(memory_format=torch.channels_last)


class FeatureNetwork(nn.Module, ABC):
    """A network that is looked at and never trained; always in eval mode, always float32.

    Attributes:
        float32_only: tells `convert` not to round this part to bfloat16.
    """

    float32_only = True

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever the family's mode."""
        return super().train(mode=False)

    @abstractmethod
    def features(self, crop: Tensor, landmarks_5: Tensor) -> list[Tensor]:
        """Maps (B,C,h,w), from fine to coarse, that pass gradients on to the crop.

        Args:
            crop: (B,3,S,S) RGB in [-1,1].
            landmarks_5: (B,5,2) in px of the crop, for networks that align faces themselves.
        """
