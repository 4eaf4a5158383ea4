"""SimSwap's generator: the identity enters residual blocks in the middle of an encoder and decoder.

Chen et al., "SimSwap: An Efficient Framework For High Fidelity Face Swapping" (2020, arXiv
2106.06340), section 3.2: adaptive instance normalisation (AdaIN) by the identity, in nine blocks
at an eighth of the side. What of the target stays is not held by maps of attributes but by
feature matching in the critic.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from models.layers.norm import PreciseBatchNorm, instance_norm
from models.layers.reflect_padded_convolution import Reflected
from models.swappers.faceshifter.attributes import double, scaled

CHANNELS = (64, 128, 256, 512)
"""At the crop's side, half, a quarter and an eighth of it."""


class AdaIN(nn.Module):
    """Activations (B,C,S,S), identity (B,D) -> (B,C,S,S): instance norm, (1 + scale), shift."""

    def __init__(self, channels: int, identity: int) -> None:
        super().__init__()
        self.style = nn.Linear(identity, 2 * channels)

    def forward(self, hidden: Tensor, identity: Tensor) -> Tensor:
        """See the class."""
        scale, shift = self.style(identity)[:, :, None, None].chunk(2, dim=1)
        normed = instance_norm(hidden)
        return normed * (1 + scale) + shift


class InjectionBlock(nn.Module):
    """Residual block: convolution 3x3, AdaIN, ReLU, convolution 3x3, AdaIN."""

    def __init__(self, channels: int, identity: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            Reflected(channels, channels, 3, bias=False) for _ in range(2)
        )
        self.styles = nn.ModuleList(AdaIN(channels, identity) for _ in range(2))

    def forward(self, hidden: Tensor, identity: Tensor) -> Tensor:
        """(B,C,S,S), (B,D) -> (B,C,S,S)."""
        first = functional.relu(self.styles[0](self.convolutions[0](hidden), identity))
        added: Tensor = self.styles[1](self.convolutions[1](first), identity)
        return hidden + added


def _layer(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Reflecting convolution, batch norm, ReLU."""
    convolution = Reflected(channels_in, channels_out, kernel, stride, bias=False)
    return nn.Sequential(convolution, PreciseBatchNorm(channels_out), nn.ReLU())


class InjectionGenerator(nn.Module):
    """Target (B,3,S,S) in [-1,1], identity (B,D) -> picture (B,3,S,S) in [-1,1].

    Args:
        identity: D.
        width: factor of all channels.
        blocks: in the middle; both published trainers take 9.
    """

    def __init__(self, identity: int, width: float = 1.0, blocks: int = 9) -> None:
        super().__init__()
        wide = [scaled(channels, width) for channels in CHANNELS]
        down = [_layer(a, b, 3, 2) for a, b in pairwise(wide)]
        self.encoder = nn.Sequential(_layer(3, wide[0], 7), *down)
        self.blocks = nn.ModuleList(InjectionBlock(wide[-1], identity) for _ in range(blocks))
        self.up = nn.ModuleList(_layer(a, b, 3) for a, b in pairwise(wide[::-1]))
        self.picture = Reflected(wide[0], 3, 7)

    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        """See the class."""
        hidden = self.encoder(target)
        for block in self.blocks:
            hidden = block(hidden, identity)
        for layer in self.up:
            hidden = layer(double(hidden))
        return self.picture(hidden).float().tanh()
