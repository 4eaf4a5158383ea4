"""Encoder and dense middle of DeepFaceLab's auto-encoders, with its options -u, -d and -t.

Perov et al., "DeepFaceLab: Integrated, flexible and extensible face-swapping framework" (2020,
arXiv 2005.05535); channel counts are those of its SAEHD model. The letters: `u` divides the code by
its root mean square, `d` halves the middle so that the decoder can double the picture at its very
end, `t` goes down once more and adds residual blocks.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.layers.convolution import Convolution
from models.layers.resampling import down, up

RESIDUAL_SLOPE = 0.2
"""Negative slope of LeakyReLU in residual blocks; 0.1 everywhere else."""


class Residual(nn.Module):
    """(B,C,S,S) -> the same: two 3x3 convolutions, the input added before the last LeakyReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels, 3)
        self.second = Convolution(channels, channels, 3)

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        inner = functional.leaky_relu(self.first(feature), RESIDUAL_SLOPE)
        return functional.leaky_relu(feature + self.second(inner), RESIDUAL_SLOPE)


def normed(code: Tensor, eps: float = 1e-6) -> Tensor:
    """Vectors (B,N) at a mean square of 1 (option u; Karras et al. 2018, arXiv 1710.10196)."""
    exact = code.float()
    return exact * (exact.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class Encoder(nn.Module):
    """(B,3,S,S) in [0,1] -> flat features (B, 8e * side**2).

    Args:
        size_px: S.
        width: channels after the first convolution, e.
        options: some of "udt".

    Attributes:
        side: S / 16, or S / 32 with t.
        features: length of the result.
    """

    def __init__(self, size_px: int, width: int, options: str) -> None:
        super().__init__()
        deep = "t" in options
        layers: list[nn.Module] = [down(3, width)]
        if deep:
            layers.append(Residual(width))
        layers += [down(width * 2**level, width * 2 ** (level + 1)) for level in range(3)]
        if deep:
            layers += [down(8 * width, 8 * width), Residual(8 * width)]
        self.layers = nn.Sequential(*layers)
        self.side = size_px // (32 if deep else 16)
        self.features = 8 * width * self.side**2
        self._unit = "u" in options

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        code: Tensor = self.layers(image).flatten(1)
        return normed(code) if self._unit else code


class Middle(nn.Module):
    """Flat features (B,F) -> code map (B,C,side,side), through a vector of `length` numbers.

    Args:
        features: F.
        length: of the vector between both dense layers.
        channels: C.
        size_px: side of the pictures.
        options: some of "udt"; the code map is not doubled with t.

    Attributes:
        side: of the code map.
    """

    def __init__(
        self, features: int, length: int, channels: int, size_px: int, options: str
    ) -> None:
        super().__init__()
        low = size_px // (32 if "d" in options else 16)
        self.first = nn.Linear(features, length)
        self.second = nn.Linear(length, low * low * channels)
        self.up = nn.Identity() if "t" in options else up(channels, channels, "pixel_shuffle")
        self._shape = (channels, low, low)
        self.side = low if "t" in options else 2 * low

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        code: Tensor = self.up(self.second(self.first(features)).unflatten(1, self._shape))
        return code


def begin(network: nn.Module) -> None:
    """Weights uniform by fan in and out, biases 0 (Glorot and Bengio 2010), in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
