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


class _PlaneByPlane(Function):
    """The same numbers; their gradient goes on with one plane per channel."""

    @staticmethod
    def forward(ctx: Any, feature: Tensor) -> Tensor:
        """(B,C,S,S), unchanged."""
        return feature.view_as(feature)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """(B,C,S,S), laid out plane by plane."""
        return grads[0].contiguous(memory_format=torch.contiguous_format)


def instance_norm(
    feature: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """torch's instance norm of (B,C,S,S), with the right gradient for a batch of one.

    On a CPU torch 2.13 gets that gradient wrong, by more than its own size, where it arrives with
    the channels of each pixel side by side, as it does behind a convolution. Here it never does.

    Args:
        feature: (B,C,S,S).
        weight: (C,) scale after the norm, or None.
        bias: (C,) offset, or None.
        eps: added to the variance.
    """
    normed = functional.instance_norm(feature, weight=weight, bias=bias, eps=eps)
    passed: Tensor = _PlaneByPlane.apply(normed)  # type: ignore[no-untyped-call]  # torch's
    return passed


def instance_normed(hidden: Tensor) -> Tensor:
    """(B,C,S,S) with each channel of each picture at mean 0 and deviation 1, in the same type.

    Moments are taken in float32 whatever the layers around run in: few pixels want that. Without
    gradients torch's group norm does the same and leaves the channels of a pixel side by side,
    several times as fast on a CPU; its gradients in bf16 are slower than those of instance norm.
    """
    if torch.is_grad_enabled():
        return instance_norm(hidden.float()).to(hidden.dtype)
    return functional.group_norm(hidden, hidden.shape[1])


class SettledBatchNorm(nn.Module):
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


class InstanceNorm(nn.Module):
    """`instance_norm` as a layer, for networks whose channels lie side by side.

    As nn.InstanceNorm2d, which autocast widens to float32 and whose result is laid out plane by
    plane: here the type stays, the layout is torch.channels_last, and sums are taken in float32.
    """

    def forward(self, feature: Tensor) -> Tensor:
        """(B,C,S,S) -> the same."""
        with torch.autocast(feature.device.type, enabled=False):
            normed = instance_norm(feature)
        return normed.contiguous(memory_format=torch.channels_last)


class ScaledInstanceNorm(nn.InstanceNorm2d):
    """nn.InstanceNorm2d with a learned scale and offset per channel, by `instance_norm`."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """(B,C,S,S) -> the same."""
        return instance_norm(input, self.weight, self.bias, self.eps)


def layers_of(network: nn.Module) -> list[SettledBatchNorm]:
    """All layers of this kind in a network."""
    return [module for module in network.modules() if isinstance(module, SettledBatchNorm)]


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
