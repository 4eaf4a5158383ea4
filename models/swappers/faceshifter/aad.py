"""FaceShifter's generator: adaptive attentional denormalisation (AAD) at every resolution.

Li et al. 2019 (arXiv 1912.13457), section 3.1. Each AAD layer normalises its activations, edits
them once by the target's attributes and once by the source's identity, and lets a learned mask
choose per pixel which edit counts: (1 - M) A + M I.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from models.layers.norm import instance_norm
from models.swappers.faceshifter.attributes import double, scaled

LAST, WIDEST = 64, 1024
"""Channels before the last block; they double with each halving, up to the widest."""


class _Chosen(Function):
    """(1 - M) A + M I of one AAD layer, with fewer passes over memory than its terms one by one."""

    @staticmethod
    def forward(
        ctx: Any, normed: Tensor, attributes: Tensor, identity: Tensor, mask: Tensor
    ) -> Tensor:
        """Activations (B,C,S,S), factor and offset (B,2C,S,S) and (B,2C), mask (B,1,S,S)."""
        scale, shift = attributes.chunk(2, dim=1)
        factor, offset = identity[:, :, None, None].chunk(2, dim=1)
        by_attributes = torch.addcmul(shift, scale, normed)
        # A number per plane is fast in products and sums, and slow in addcmul.
        apart = (normed * factor).add_(offset).sub_(by_attributes)
        ctx.save_for_backward(normed, attributes, identity, mask, apart)
        return by_attributes.addcmul(apart, mask)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the four, in their order."""
        normed, attributes, identity, mask, apart = ctx.saved_tensors
        grad, channels = grads[0], normed.shape[1]
        to_identity = grad * mask
        to_attributes = grad - to_identity
        edits = torch.empty_like(attributes)
        torch.mul(to_attributes, normed, out=edits[:, :channels])
        edits[:, channels:] = to_attributes
        sums = [(to_identity * normed).sum((2, 3)), to_identity.sum((2, 3))]
        to_mask = (grad * apart).sum(1, keepdim=True)
        inner = to_attributes.mul_(attributes[:, :channels])
        inner = inner.add_(to_identity.mul_(identity[:, :channels, None, None]))
        return inner, edits, torch.cat(sums, 1), to_mask


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
        # One number per pixel is a sum of planes: as a convolution it takes four times as long.
        count, channels, height, width = normed.shape
        weight, offset = self.mask.weight.view(1, 1, channels), self.mask.bias
        bias = offset.view(1, 1, 1) if offset is not None else weight.new_zeros(1, 1, 1)
        planes = normed.reshape(count, channels, height * width)
        verdict = torch.baddbmm(
            bias.to(normed.dtype), weight.to(normed.dtype).expand(count, -1, -1), planes
        )
        return torch.sigmoid(verdict.view(count, 1, height, width))

    def forward(
        self, hidden: Tensor, attributes: Tensor, identity: Tensor, masks: list[Tensor]
    ) -> Tensor:
        """See the class; the mask is added to `masks`."""
        normed = instance_norm(hidden)
        mask = self.choose(normed)
        masks.append(mask)
        given = (normed, self.attributes(attributes), self.identity(identity), mask)
        chosen: Tensor = _Chosen.apply(*given)  # type: ignore[no-untyped-call]  # torch's
        return chosen


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
