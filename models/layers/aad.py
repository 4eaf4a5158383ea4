"""FaceShifter's generator: adaptive attentional denormalisation (AAD) at every resolution.

Li et al. 2019 (arXiv 1912.13457), section 3.1. Each AAD layer normalises its activations, edits
them once by the target's attributes and once by the source's identity, and lets a learned mask
choose per pixel which edit counts: (1 - M) A + M I.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.attributes import double, scaled
from models.layers.norm import instance_norm

LAST, WIDEST = 64, 1024
"""Channels before the last block; they double with each halving, up to the widest."""


class AAD(nn.Module):
    """One layer: activations (B,C,S,S), attribute map (B,C',S,S), identity (B,D) -> (B,C,S,S).

    Args:
        channels: C.
        attributes: C'.
        identity: D.
    """

    def __init__(self, channels: int, attributes: int, identity: int) -> None:
        super().__init__()
        self.attributes = nn.Conv2d(attributes, 2 * channels, 1)
        self.identity = nn.Linear(identity, 2 * channels)
        self.mask = nn.Conv2d(channels, 1, 1)

    def choose(self, normed: Tensor) -> Tensor:
        """Mask M (B,1,S,S) in (0,1): 1 = identity, 0 = attributes."""
        return torch.sigmoid(self.mask(normed))

    def forward(
        self, hidden: Tensor, attributes: Tensor, identity: Tensor, masks: list[Tensor]
    ) -> Tensor:
        """See the class; the mask is added to `masks`."""
        normed = instance_norm(hidden)
        scale, shift = self.attributes(attributes).chunk(2, dim=1)
        by_attributes = torch.addcmul(shift, scale, normed)
        scale, shift = self.identity(identity)[:, :, None, None].chunk(2, dim=1)
        by_identity = torch.addcmul(shift, scale, normed)
        mask = self.choose(normed)
        masks.append(mask)
        return torch.lerp(by_attributes, by_identity, mask.expand_as(normed))


class AADBlock(nn.Module):
    """Residual block: AAD, ReLU, convolution 3x3, twice; once in the shortcut if widths differ.

    Args:
        channels_in: of the activations that come in.
        channels_out: of those that leave.
        attributes: channels of the attribute map.
        identity: length of the identity vector.
        bias: of the last convolutions; useless where the next layer normalises.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        attributes: int,
        identity: int,
        *,
        bias: bool = False,
    ) -> None:
        super().__init__()
        changes = channels_in != channels_out
        self.aad = nn.ModuleList(AAD(channels_in, attributes, identity) for _ in range(2 + changes))
        self.first = nn.Conv2d(channels_in, channels_in, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        if not changes:
            self.shortcut = nn.Identity()  # type: ignore[assignment]  # passes what comes in

    def forward(
        self, hidden: Tensor, attributes: Tensor, identity: Tensor, masks: list[Tensor]
    ) -> Tensor:
        """Activations (B,C,S,S) -> (B,C',S,S); the masks of its layers are added to `masks`."""
        given = (attributes, identity, masks)
        found = self.first(functional.relu(self.aad[0](hidden, *given)))
        found = self.second(functional.relu(self.aad[1](found, *given)))
        if len(self.aad) > 2:
            hidden = functional.relu(self.aad[2](hidden, *given))
        total: Tensor = found + self.shortcut(hidden)
        return total


class AADGenerator(nn.Module):
    """Attribute maps, identity (B,D) -> picture (B,3,S,S) in [-1,1].

    At 256 px and width 1: a transposed convolution makes 1024 channels of 2x2 px out of the
    identity, then 8 blocks give 1024, 1024, 1024, 512, 256, 128, 64 and 3 channels; between
    them the side doubles.

    Args:
        attributes: channels of each attribute map, the coarsest first.
        side: of the coarsest map, px.
        identity: D.
        width: factor of all channels.
    """

    def __init__(self, attributes: list[int], side: int, identity: int, width: float = 1.0) -> None:
        super().__init__()
        levels = range(len(attributes) - 1, -1, -1)
        wide = [scaled(min(LAST * 2**level, WIDEST), width) for level in levels]
        self.channels = [*wide, 3]
        self.start = nn.ConvTranspose2d(identity, wide[0], side, bias=False)
        self.blocks = nn.ModuleList(
            AADBlock(*pair, given, identity, bias=pair[1] == 3)
            for pair, given in zip(
                zip(wide, self.channels[1:], strict=True), attributes, strict=True
            )
        )

    def forward(
        self, attributes: list[Tensor], identity: Tensor, masks: list[list[Tensor]] | None = None
    ) -> Tensor:
        """See the class.

        Args:
            attributes: maps of the target, the coarsest first.
            identity: (B,D), unit length.
            masks: takes, per block, the masks (B,1,s,s) of its layers.
        """
        hidden = self.start(identity[:, :, None, None])
        for index, (block, given) in enumerate(zip(self.blocks, attributes, strict=True)):
            seen: list[Tensor] = []
            hidden = block(hidden if index == 0 else double(hidden), given, identity, seen)
            if masks is not None:
                masks.append(seen)
        return torch.tanh(hidden.float())
