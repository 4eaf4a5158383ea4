"""Batch normalisation whose statistics are settled after training instead of run along.

A running mean depends on which worker saw which part of a batch, and lags behind the weights.
Here training uses the statistics of the batch alone and leaves every buffer as it is; before a
model is looked at or saved, `settling` takes the moments of a few fixed batches with the weights
as they then are: precise batch normalisation (Wu and Johnson, "Rethinking 'Batch' in BatchNorm",
2021, arXiv 2105.07576, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from models.layers.feature_network import exact

EPS = 1e-5
"""Added to the variance by instance norm."""


class PreciseBatchNorm(nn.Module):
    """(B,C,...) -> the same, each channel at mean 0 and deviation 1, then scaled and moved.

    Args:
        channels: C.
        eps: added to the variance.
        affine: learn a scale and an offset per channel.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self._moments: list[Tensor] | None = None

    def forward(self, feature: Tensor) -> Tensor:
        """Normalise by the batch in training, by the settled statistics otherwise."""
        if self._moments is not None:
            self._watch(feature)
        if self.training:
            return functional.batch_norm(
                feature, None, None, self.weight, self.bias, training=True, eps=self.eps
            )
        return functional.batch_norm(
            feature, self.mean, self.variance, self.weight, self.bias, eps=self.eps
        )

    @torch.no_grad()
    def _watch(self, feature: Tensor) -> None:
        others = [dimension for dimension in range(feature.ndim) if dimension != 1]
        variance, mean = torch.var_mean(feature.float(), others, correction=0)
        if self._moments is not None:
            self._moments.append(torch.stack([mean, variance + mean**2]))

    def begin(self) -> None:
        """Watch what passes from now on."""
        self._moments = []

    def pause(self) -> list[Tensor] | None:
        """Watch nothing more; gives what was seen, for `resume`."""
        seen, self._moments = self._moments, None
        return seen

    def resume(self, seen: list[Tensor] | None) -> None:
        """Go on watching where `pause` left off."""
        self._moments = seen

    @torch.no_grad()
    def finish(self) -> None:
        """Take the moments of all that has passed; nothing changes where nothing did."""
        if self._moments:
            first, second = torch.stack(self._moments).mean(0)
            self.mean.copy_(first)
            self.variance.copy_((second - first**2).clamp_min(0))
        self._moments = None


def _wide(feature: Tensor) -> torch.dtype:
    """The type in which sums are taken."""
    return torch.promote_types(feature.dtype, torch.float32)


class _BesideEachOther(Function):
    """Instance norm of pictures whose channels lie side by side, which torch would lay out anew.

    Torch's group norm keeps them so; but its gradients in bf16 take longer than these.
    """

    @staticmethod
    def forward(ctx: Any, feature: Tensor, eps: float) -> Tensor:
        """(B,C,S,S) -> the same, normalised; sums are taken in float32 at least."""
        count, channels, height, width = feature.shape
        # Given float32 factors, torch keeps the deviation in float32 beside bf16 features.
        one = torch.ones(channels, dtype=_wide(feature))
        sizes = (count, channels, height * width, channels, eps)
        normed, _, scale = torch.native_group_norm(feature, one, torch.zeros_like(one), *sizes)
        ctx.save_for_backward(normed, scale.view(count, channels, 1, 1))
        return normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Gradient of the feature: what changes mean or deviation of a channel is taken out."""
        normed, scale = ctx.saved_tensors
        grad, wide = grads[0].to(scale.dtype), normed.to(scale.dtype)
        along = (grad * wide).mean((2, 3), keepdim=True)
        rest = torch.addcmul(grad - grad.mean((2, 3), keepdim=True), wide, along, value=-1)
        return rest.mul_(scale).to(normed.dtype), None


class _PlaneByPlane(Function):
    """The same numbers; the gradient goes back plane by plane.

    On a CPU torch 2.13 gives the gradient of instance norm wrongly for a batch of one picture where
    it arrives as torch.channels_last (off by more than its own size).
    """

    @staticmethod
    def forward(ctx: Any, feature: Tensor) -> Tensor:
        """(B,C,S,S), as it is."""
        return feature.view_as(feature)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """(B,C,S,S), laid out plane by plane."""
        return grads[0].contiguous(memory_format=torch.contiguous_format)


def instance_norm(
    feature: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = EPS
) -> Tensor:
    """(B,C,S,S) -> the same, each channel of each picture at mean 0 and deviation 1, then scaled.

    Autocast would widen it to float32 on a CPU, and torch lay it out plane by plane. Here type
    and layout stay as they are; sums are taken in float32 all the same.

    Args:
        feature: (B,C,S,S).
        weight: (C,) scale after the norm, or None.
        bias: (C,) offset, or None; given with `weight` alone.
        eps: added to the variance.
    """
    with exact(feature.device):
        beside = feature.is_contiguous(memory_format=torch.channels_last)
        if beside and not feature.is_contiguous() and feature.device.type == "cpu":
            found: Tensor = _BesideEachOther.apply(feature, eps)  # type: ignore[no-untyped-call]  # torch's
            if weight is None or bias is None:
                return found
            scale, offset = (part.to(feature.dtype)[:, None, None] for part in (weight, bias))
            return torch.addcmul(offset, found, scale)
        # Given float32 factors, torch keeps mean and deviation in float32 beside bf16 features.
        kind = _wide(feature)
        one = torch.ones(feature.shape[1], dtype=kind, device=feature.device)
        scaled = one if weight is None else weight.to(kind)
        moved = torch.zeros_like(one) if bias is None else bias.to(kind)
        normed = functional.instance_norm(feature, weight=scaled, bias=moved, eps=eps)
        laid: Tensor = _PlaneByPlane.apply(normed)  # type: ignore[no-untyped-call]  # torch's
        return laid


class InstanceNorm(nn.Module):
    """`instance_norm` as a layer, in the place of nn.InstanceNorm2d."""

    def forward(self, feature: Tensor) -> Tensor:
        """See `instance_norm`."""
        return instance_norm(feature)


class ScaledInstanceNorm(nn.InstanceNorm2d):
    """nn.InstanceNorm2d with its learned scale and offset, through `instance_norm`."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """(B,C,S,S) -> the same."""
        return instance_norm(input, self.weight, self.bias, self.eps)


def layers_of(network: nn.Module) -> list[PreciseBatchNorm]:
    """All layers of this kind in a network."""
    return [module for module in network.modules() if isinstance(module, PreciseBatchNorm)]


@contextmanager
def settling(network: nn.Module) -> Iterator[None]:
    """While it lasts, every such layer watches what passes; at its end it takes the moments."""
    layers = layers_of(network)
    for layer in layers:
        layer.begin()
    try:
        yield
    finally:
        for layer in layers:
            layer.finish()


@contextmanager
def unwatched(network: nn.Module) -> Iterator[None]:
    """While it lasts, the layers of `network` watch nothing: what passes is not what they serve."""
    layers = layers_of(network)
    kept = [layer.pause() for layer in layers]
    try:
        yield
    finally:
        for layer, moments in zip(layers, kept, strict=True):
            layer.resume(moments)
