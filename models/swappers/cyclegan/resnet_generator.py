"""The residual generator of CycleGAN: picture to picture, of the same side.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
(ICCV 2017, arXiv 1703.10593, appendix 7.2), after Johnson et al. 2016: c7s1-64, d128, d256, R256
six or nine times, u128, u64, c7s1-3. Padding reflects where the side stays; every convolution but
the last is followed by instance norm and ReLU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers.norm import InstanceNorm
from models.layers.reflect_padded_convolution import Reflected

ENDS_KERNEL = 7
"""Side of the first and the last kernels."""
DEVIATION = 0.02
"""Of the normal distribution that all weights begin with (appendix 7.1)."""
BLOCKS_BELOW_PX = 256
"""Pictures of a smaller side get six residual blocks, others nine."""


def natural_blocks(size_px: int) -> int:
    """Residual blocks that the paper takes for a side."""
    return 6 if size_px < BLOCKS_BELOW_PX else 9


def _normed(convolution: nn.Module) -> list[nn.Module]:
    # No bias before a norm: it would take it out again.
    return [convolution, InstanceNorm(), nn.ReLU()]


class Residual(nn.Module):
    """(B,C,S,S) -> (B,C,S,S): two convolutions around which the input passes; no ReLU after."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *_normed(Reflected(width, width, 3, bias=False)),
            Reflected(width, width, 3, bias=False),
            InstanceNorm(),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        changed: Tensor = feature + self.change(feature)
        return changed


class ResnetGenerator(nn.Module):
    """(B,3,S,S) in [-1,1] -> (B,3,S,S) in [-1,1], S a multiple of 4.

    Args:
        width: channels after the first convolution.
        blocks: residual blocks at a quarter of the side.
    """

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        deep = 4 * width
        self.down = nn.Sequential(
            *_normed(Reflected(3, width, ENDS_KERNEL, bias=False)),
            *_normed(nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False)),
            *_normed(nn.Conv2d(2 * width, deep, 3, 2, 1, bias=False)),
        )
        self.blocks = nn.Sequential(*(Residual(deep) for _ in range(blocks)))
        self.up = nn.Sequential(
            *_normed(nn.ConvTranspose2d(deep, 2 * width, 3, 2, 1, 1, bias=False)),
            *_normed(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1, bias=False)),
        )
        self.picture = Reflected(width, 3, ENDS_KERNEL)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return torch.tanh(self.picture(self.up(self.blocks(self.down(image)))).float())


def begin_small(network: nn.Module) -> None:
    """Draw all weights of convolutions from N(0, 0.02), set their biases to 0 (appendix 7.1)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
