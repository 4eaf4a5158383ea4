"""The two networks of FSGAN that finish a swap: Gc paints holes, Gb blends.

Nirkin, Keller, Hassner, "FSGAN" (ICCV 2019), and its second version's code: both are the network
of the re-enactment without landmarks and with one head, of 4 and of 7 channels in. Blending is
trained towards the Poisson solution (`poisson`), which it replaces when a swap is made.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.swappers.fsgan.resunet import BLOCKS, MOST, ResUnet


class Painter(nn.Module):
    """A two-scale residual U-Net that draws a picture in [-1,1].

    Attributes:
        network: see `resunet`; its `small_parameters` are trained first where pictures grow.
    """

    def __init__(
        self, channels: int, width: int = 128, blocks: Sequence[int] = BLOCKS, most: int = MOST
    ) -> None:
        """Set up the network.

        Args:
            channels: of its input.
            width: channels at the finest level; twice as many at each one below.
            blocks: residual blocks per level, the finest first; their number is the depth.
            most: channels at most.
        """
        super().__init__()
        self.network = ResUnet(channels, (3,), width, blocks, most)

    def draw(self, given: Tensor, small: bool) -> Tensor:
        """(B,C,S,S) -> (B,3,S,S) in [-1,1]; `small`: by the base alone, S being its side."""
        return torch.tanh(self.network(given, small=small)[0])


class Inpainting(Painter):
    """Paints what the source does not show of the face that it is to cover."""

    def __init__(self, width: int = 128, blocks: Sequence[int] = BLOCKS, most: int = MOST) -> None:
        """As `Painter`, with the picture and the hole as 4 channels in."""
        super().__init__(4, width, blocks, most)

    def forward(self, image: Tensor, hole: Tensor, *, small: bool = False) -> Tensor:
        """Draw the whole picture (B,3,S,S) anew, in [-1,1].

        Args:
            image: (B,3,S,S) in [-1,1]; what it holds inside the hole is not seen.
            hole: (B,1,S,S) in [0,1], 1 where nothing is known.
            small: the base alone, all being of its side.
        """
        return self.draw(torch.cat([image * (1 - hole), hole], 1), small)


class Blending(Painter):
    """Sets a swapped face into the target, as Poisson blending would."""

    def __init__(self, width: int = 128, blocks: Sequence[int] = BLOCKS, most: int = MOST) -> None:
        """As `Painter`, with both pictures and the mask as 7 channels in."""
        super().__init__(7, width, blocks, most)

    def forward(
        self, swapped: Tensor, target: Tensor, mask: Tensor, *, small: bool = False
    ) -> Tensor:
        """Draw the blended picture (B,3,S,S), in [-1,1].

        Args:
            swapped: (B,3,S,S) in [-1,1]; outside the mask the target is seen in its place.
            target: (B,3,S,S) in [-1,1].
            mask: (B,1,S,S) in [0,1], 1 where the swapped face is to stand.
            small: the base alone, all being of its side.
        """
        pasted = target + mask * (swapped - target)
        return self.draw(torch.cat([pasted, target, mask], 1), small)
