"""VGG-19 as a perceptual network (Simonyan and Zisserman, ICLR 2015, configuration E).

Names and order of weights are those of torchvision's `vgg19` (`features.0.weight` ...). The maps
are relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, as pix2pixHD takes them (Wang et al., CVPR
2018); the idea is that of Johnson, Alahi, Fei-Fei (ECCV 2016). What follows conv5_1 is never
computed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.feature_network import FeatureNetwork, exact, freeze, side_by_side

Triple = tuple[float, float, float]
INPUTS: dict[str, tuple[Triple, Triple]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and deviation, RGB in [0,1], that weights were trained with: torchvision's, or [-1,1]."""
WIDTH = 64
BLOCKS = ((2, 1), (2, 2), (4, 4), (4, 8), (1, 8))
"""Convolutions of each block, of the last one the first alone, and their channels in widths."""


def convolutions(width: int = WIDTH) -> list[tuple[int, int, int, bool]]:
    """Index under `features`, channels in and out, and whether it begins a block, of each."""
    found, index, channels = [], 0, 3
    for count, factor in BLOCKS:
        for place in range(count):
            found.append((index, channels, factor * width, place == 0))
            index, channels = index + 2, factor * width
        index += 1
    return found


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for index, channels, wanted, _ in convolutions(width):
        shapes[f"features.{index}.weight"] = (wanted, channels, 3, 3)
        shapes[f"features.{index}.bias"] = (wanted,)
    return shapes


def select(state: Mapping[str, object]) -> dict[str, Tensor]:
    """The weights up to conv5_1 of a state dict, float32, by torchvision's names.

    A state dict under the key `state_dict`, and names behind `module.`, are taken as well. The
    number of channels follows from the first convolution: 64 in VGG-19, fewer in narrow ones.

    Raises:
        ValueError: a weight is missing or of another shape; the first one is named.
    """
    inner = state.get("state_dict")
    layers = inner if isinstance(inner, Mapping) else state
    given = {str(name).removeprefix("module."): weight for name, weight in layers.items()}
    first = given.get("features.0.weight")
    width = len(first) if isinstance(first, Tensor) and first.ndim else WIDTH
    found = {}
    for name, shape in _shapes(width).items():
        weight = given.get(name)
        if not isinstance(weight, Tensor):
            raise ValueError(f"it holds no `{name}`")  # noqa: TRY004 (the file is wrong)
        if tuple(weight.shape) != shape:
            raise ValueError(f"`{name}` is {tuple(weight.shape)}, not {shape}")
        found[name] = weight.detach().to(torch.float32)
    return found


class Vgg19(FeatureNetwork):
    """The five maps of a crop; its weights are buffers that no file of a model holds.

    Args:
        given: key of INPUTS, how the weights want their input.
        width: channels of the first convolution.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, given: str = "imagenet", width: int = WIDTH) -> None:
        super().__init__()
        layers = convolutions(width)
        self.begins = [begins for *_, begins in layers]
        self.layers = nn.ModuleDict(
            {str(index): nn.Conv2d(i, o, 3, padding=1) for index, i, o, _ in layers}
        )
        mean, deviation = (torch.tensor(row).view(3, 1, 1) for row in INPUTS[given])
        self.register_buffer("scale", 0.5 / deviation)
        self.register_buffer("shift", (0.5 - mean) / deviation)
        freeze(self, saved=False)
        self.eval()

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take weights as `select` gives them.

        Raises:
            ValueError: names or shapes differ from this network's.
        """
        chosen = select(state)
        for name, buffer in self.layers.named_buffers():
            weight = chosen[f"features.{name}"]
            if weight.shape != buffer.shape:
                raise ValueError(f"`features.{name}` is {tuple(weight.shape)}")
            buffer.copy_(weight)

    def features(self, crop: Tensor, landmarks_5: Tensor) -> list[Tensor]:
        """Maps (B,C,s,s) for s = S, S/2, S/4, S/8, S/16 (C = 64, 128, 256, 512, 512) of a crop.

        The whole crop is looked at; `landmarks_5` is not. S is at least 16.
        """
        with exact(crop.device):
            feature = side_by_side(crop.float() * self.scale + self.shift)
            maps: list[Tensor] = []
            for begins, layer in zip(self.begins, self.layers.values(), strict=True):
                if begins and maps:
                    feature = functional.max_pool2d(feature, 2)
                feature = functional.relu(layer(feature))
                if begins:
                    maps.append(feature)
            return maps
