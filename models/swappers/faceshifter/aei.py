"""FaceShifter's first stage, AEI-Net: the target's attributes, drawn with the source's identity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.swappers.faceshifter.aad import AADGenerator
from models.swappers.faceshifter.attributes import AttributeEncoder, natural_depth
from models.swappers.faceshifter.injection import InjectionGenerator

Masks = list[list[Tensor]]
"""Per block of the generator, the masks (B,1,s,s) of its layers."""


class AEINet(nn.Module):
    """Target (B,3,S,S) in [-1,1], identity (B,D) -> picture (B,3,S,S) in [-1,1], attribute maps.

    Args:
        size_px: S.
        identity: D.
        width: factor of all channels.
        depth: halvings; None, or more than the side allows: down to 2 or 3 px.
    """

    def __init__(
        self, size_px: int, identity: int, width: float = 1.0, depth: int | None = None
    ) -> None:
        super().__init__()
        natural = natural_depth(size_px)
        halvings = min(depth or natural, natural)
        self.encoder = AttributeEncoder(halvings, width)
        self.generator = AADGenerator(self.encoder.channels, size_px >> halvings, identity, width)

    def attributes(self, image: Tensor) -> list[Tensor]:
        """Maps of any picture, the coarsest first."""
        found: list[Tensor] = self.encoder(image)
        return found

    def forward(
        self, target: Tensor, identity: Tensor, masks: Masks | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """See the class.

        Args:
            target: crops.
            identity: unit length.
            masks: takes those of every block.
        """
        attributes = self.attributes(target)
        return self.generator(attributes, identity, masks), attributes


class InjectionNet(nn.Module):
    """SimSwap's generator behind the same calls; it has neither attribute maps nor masks.

    Args:
        identity: length of the identity vector.
        width: factor of all channels.
        blocks: in the middle.
    """

    def __init__(self, identity: int, width: float = 1.0, blocks: int = 9) -> None:
        super().__init__()
        self.generator = InjectionGenerator(identity, width, blocks)

    def attributes(self, image: Tensor) -> list[Tensor]:
        """None of any picture."""
        return []

    def forward(
        self, target: Tensor, identity: Tensor, masks: Masks | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """As `AEINet.forward`."""
        return self.generator(target, identity), []


def attribute_masks(net: AEINet | InjectionNet, target: Tensor, identity: Tensor) -> list[Tensor]:
    """Masks (B,1,s,s) in [0,1] per level, the coarsest first: 1 = identity, 0 = attributes.

    The paper's figure; each is the mean over the layers of its block. None of `InjectionNet`.

    Args:
        net: the trained network.
        target: (B,3,S,S).
        identity: (1 or B,D), unit length.
    """
    masks: Masks = []
    net(target, identity.expand(len(target), -1), masks)
    return [torch.stack(block).float().mean(dim=0) for block in masks]
