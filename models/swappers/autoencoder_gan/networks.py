"""Networks of the GAN autoencoder: encoder, decoder and critic of faceswap-GAN v2.2.

Layer for layer those of github.com/shaoanlu/faceswap-GAN at 64, 128 and 256 px. Convolutions of
stride 2 are padded evenly, where Keras pads below and to the right alone; channels of the pixel
shuffle lie in torch's order: weights of theirs do not fit.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from models.layers.convolution import Convolution
from models.layers.norm import instance_norm
from models.swappers.autoencoder_gan.self_attention import SelfAttention

Norm = Literal["whole", "channel", "none"]
SLOPE = 0.2
"""Negative slope of LeakyReLU."""
EPSILON = 1e-3
"""Added to variances; keras-contrib adds it to deviations."""
CODE_PX = 4
"""Side of the map before and after the code."""
VERDICT_PX = 8
"""Side of the critics' map of verdicts."""


class Normalised(nn.Module):
    """Each picture's map (C,H,W) at mean 0 and deviation 1, then scaled and moved.

    keras-contrib's InstanceNormalization, which v2.2 uses as it comes: without an axis it takes
    all channels together ("whole") and learns one scale and one offset. "channel" is what the
    name says elsewhere (Ulyanov et al. 2016), with as many of both as channels.
    """

    def __init__(self, channels: int, kind: Norm) -> None:
        super().__init__()
        self.kind = kind
        count = {"whole": 1, "channel": channels, "none": 0}[kind]
        if count:
            self.scale = nn.Parameter(torch.ones(count))
            self.offset = nn.Parameter(torch.zeros(count))

    def forward(self, feature: Tensor) -> Tensor:
        """(B,C,H,W) -> the same."""
        if self.kind == "none":
            return feature
        channels = feature.shape[1]
        if self.kind == "channel":
            # The kernel for one group per channel is slow where channels lie side by side.
            return instance_norm(feature, self.scale, self.offset, EPSILON)
        scale, offset = self.scale.expand(channels), self.offset.expand(channels)
        return functional.group_norm(feature, 1, scale, offset, EPSILON)


class Block(nn.Sequential):
    """A convolution and what follows it, one after the other."""


def narrow(channels_in: int, channels_out: int, norm: Norm, stride: int = 2) -> Block:
    """(B,C,S,S) -> (B,C',S/stride,S/stride): convolution 3x3, ReLU, norm."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
    return Block(convolution, nn.ReLU(), Normalised(channels_out, norm))


def widen(channels_in: int, channels_out: int, norm: Norm) -> Block:
    """(B,C,S,S) -> (B,C',2S,2S): convolution 3x3 to 4C', LeakyReLU, norm, pixel shuffle."""
    convolution = Convolution(channels_in, 4 * channels_out, 3)
    parts = (nn.LeakyReLU(SLOPE), Normalised(4 * channels_out, norm), nn.PixelShuffle(2))
    return Block(convolution, *parts)


def judge(channels_in: int, channels_out: int, norm: Norm) -> Block:
    """(B,C,S,S) -> (B,C',S/2,S/2): convolution 4x4, LeakyReLU, norm."""
    convolution = nn.Conv2d(channels_in, channels_out, 4, 2, 1, bias=False)
    return Block(convolution, nn.LeakyReLU(SLOPE), Normalised(channels_out, norm))


class Residual(nn.Module):
    """(B,C,S,S) -> the same: two convolutions 3x3 beside the identity, no norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        inner = functional.leaky_relu(self.first(feature), SLOPE)
        return functional.leaky_relu(self.second(inner) + feature, SLOPE)


class Encoder(nn.Module):
    """(B,3,S,S) in [-1,1] -> code map (B,8w,8,8).

    Args:
        size_px: S, 64, 128 or 256.
        width: w.
        norm: of all but the first two convolutions.
        attention_px: widest map that attends to itself.
    """

    def __init__(self, size_px: int, width: int, norm: Norm, attention_px: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, width, 5, padding=2, bias=False)]
        parts.append(narrow(width, 2 * width, "none"))
        side = size_px // 2
        for wide in (4 * width, 8 * width):
            parts.append(narrow(wide // 2, wide, norm))
            side //= 2
            if side <= attention_px:
                parts.append(SelfAttention(wide))
        deep = 16 * width
        parts.append(narrow(8 * width, deep, norm))
        side //= 2
        while side > CODE_PX:
            parts.append(narrow(deep, deep, norm))
            side //= 2
        flat = deep * side * side
        parts += [nn.Flatten(), nn.Linear(flat, deep), nn.Linear(deep, flat)]
        parts += [nn.Unflatten(1, (deep, side, side)), widen(deep, 8 * width, norm)]
        self.layers = nn.Sequential(*parts)
        _begin(self)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        code: Tensor = self.layers(image)
        return code


class Drawn(NamedTuple):
    """What a decoder draws.

    Attributes:
        colour: (B,3,S,S) in [-1,1], the face.
        alpha: (B,1,S,S) in [0,1], where it replaces what the encoder was shown.
        smaller: colours at 64 px, ... up to S/2; empty at 64 px.
    """

    colour: Tensor
    alpha: Tensor
    smaller: list[Tensor]

    def over(self, image: Tensor) -> Tensor:
        """The face laid over `image` (B,3,S,S)."""
        return self.alpha * self.colour + (1 - self.alpha) * image


class Decoder(nn.Module):
    """Code map (B,8w,8,8) -> colour and alpha at S px."""

    def __init__(self, size_px: int, width: int, norm: Norm, attention_px: int) -> None:
        super().__init__()
        near: list[nn.Module] = [
            widen(8 * width, 4 * width, norm),
            widen(4 * width, 2 * width, norm),
        ]
        near += [SelfAttention(2 * width)] if attention_px >= 32 else []
        near += [widen(2 * width, width, norm), Residual(width)]
        last = SelfAttention(width) if attention_px >= 64 else narrow(width, width, "none", 1)
        self.base = nn.Sequential(*near, last)
        self.smaller, self.grow = nn.ModuleList(), nn.ModuleList()
        for _ in range((size_px // 64).bit_length() - 1):
            self.smaller.append(nn.Conv2d(width, 3, 5, padding=2))
            wider = (widen(width, width, norm), narrow(width, width, "none", 1))
            self.grow.append(nn.Sequential(*wider))
        self.last = nn.Conv2d(width, 4, 5, padding=2)
        _begin(self)

    def forward(self, code: Tensor) -> Drawn:
        """See the class."""
        feature, smaller = self.base(code), []
        for show, grow in zip(self.smaller, self.grow, strict=True):
            smaller.append(torch.tanh(show(feature).float()))
            feature = grow(feature)
        alpha, colour = self.last(feature).float().split([1, 3], 1)
        return Drawn(torch.tanh(colour), torch.sigmoid(alpha), smaller)


class Critic(nn.Module):
    """Picture and what the encoder was shown, (B,6,S,S) -> verdicts (B,1,8,8), 1 for real.

    Args:
        size_px: S.
        width: channels after the first convolution.
        norm: of all convolutions but the first and the last.
        attention_px: widest map that attends to itself.
    """

    def __init__(self, size_px: int, width: int, norm: Norm, attention_px: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [judge(6, width, "none"), judge(width, 2 * width, norm)]
        side, given, wide = size_px // 4, 2 * width, 4 * width
        while side > VERDICT_PX:
            parts.append(judge(given, wide, norm))
            side, given = side // 2, wide
            if side <= attention_px:
                parts.append(SelfAttention(wide))
        parts += [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(wide, 1, 4, bias=False)]
        self.layers = nn.Sequential(*parts)
        _begin(self)

    def forward(self, picture: Tensor, shown: Tensor) -> Tensor:
        """See the class."""
        verdicts: Tensor = self.layers(torch.cat([picture, shown], 1))
        return verdicts


def decayed(network: nn.Module) -> list[Tensor]:
    """Kernels whose squares v2.2 adds to the loss: of the blocks and of attention.

    Not those of the first convolution, of the dense layers and of what draws pictures and
    verdicts.
    """
    inner = [m for m in network.modules() if isinstance(m, Block | Residual | SelfAttention)]
    children = [child for module in inner for child in module.children()]
    return [child.weight for child in children if isinstance(child, nn.Conv2d)]


@torch.no_grad()
def _begin(network: nn.Module) -> None:
    """Initial weights: Glorot's; in blocks He's, and equal pixels behind a shuffle (ICNR)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
    inner = [m for m in network.modules() if isinstance(m, Block | Residual)]
    for module in (child for each in inner for child in each.children()):
        if isinstance(module, Convolution):
            # Aitken et al., "Checkerboard artifact free sub-pixel convolution" (2017).
            init.normal_(module.weight, std=0.02)
            module.weight.copy_(module.weight[::4].repeat_interleave(4, 0))
        elif isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
