"""Convolutions as products: the same numbers as torch's, the same order in memory throughout."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import convolution
from models.layers.convolution import Convolution, Product, patches, unpatch
from models.swappers.base import Phase
from models.training import optimisers, steps


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2), (5, 1)])
def test_patches_are_what_the_kernel_sees(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    picture, weight = torch.randn(2, 6, 4, 3), torch.randn(7, 3, kernel, kernel)
    wanted = functional.conv2d(picture.permute(0, 3, 1, 2), weight, None, stride, kernel // 2)
    seen = patches(picture, kernel, stride)
    drawn = seen @ weight.permute(0, 2, 3, 1).reshape(7, -1).T
    assert torch.allclose(drawn.view(wanted.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2), wanted,
                          atol=1e-4)  # fmt: skip
    # <patches(x), y> = <x, unpatch(y)>: one is the transpose of the other.
    other = torch.randn_like(seen)
    back = unpatch(other, tuple(picture.shape), kernel, stride)
    assert torch.allclose((seen * other).sum(), (picture * back).sum(), rtol=1e-4)


def differentiate(layer: nn.Module, picture: Tensor) -> list[Tensor]:
    """Output of a layer under autocast, and gradients of picture, weight and bias."""
    seen = picture.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        drawn = layer(seen)
    grad = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(1))
    torch.autograd.backward(drawn, grad.to(drawn.dtype))
    grads = [seen.grad, *(p.grad for p in layer.parameters())]
    return [drawn.detach(), *(g for g in grads if g is not None)]


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2)])
def test_products_agree_with_torch(
    kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = Convolution(16, 24, kernel, stride)
    layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    picture = torch.randn(3, 16, 8, 8)
    calls = Mock(wraps=Product.apply)
    monkeypatch.setattr(Product, "apply", calls)
    monkeypatch.setattr(convolution, "MIN_WEIGHTS", 0)
    ours = differentiate(layer, picture)
    layer.zero_grad()
    monkeypatch.setattr(convolution, "MIN_WEIGHTS", 10**9)
    theirs = differentiate(layer, picture)
    assert calls.call_count == 1
    assert len(ours) == len(theirs) == 4
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        # bf16 has 8 bits: both round their result once.
        assert (mine - other).abs().max() <= 0.01 * other.abs().max()


def test_products_serve_training_in_bf16_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("used")

    monkeypatch.setattr(Product, "apply", refuse)
    monkeypatch.setattr(convolution, "MIN_WEIGHTS", 0)
    layer, picture = Convolution(4, 4, 3), torch.randn(1, 4, 4, 4)
    layer(picture)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        layer(picture)
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(AssertionError, match="used"):
        layer(picture)


def test_optimisers_continue_with_channels_last() -> None:
    torch.manual_seed(0)
    start = torch.randn(4, 3, 3, 3)
    straight, last = (
        nn.Parameter(start.clone().contiguous(memory_format=order))
        for order in (torch.contiguous_format, torch.channels_last)
    )
    movers = [optimisers.make(Phase("p", [p])) for p in (straight, last)]
    for step, gradient in enumerate(torch.randn(6, 4, 3, 3, 3)):
        if step == 3:  # both go on from what a file would hold: torch's own order
            for index, parameter in enumerate((straight, last)):
                state = optimisers.state_of("p", movers[index])
                movers[index] = optimisers.make(Phase("p", [parameter]))
                stored = {k: v.clone(memory_format=torch.contiguous_format)
                          for k, v in state.items()}  # fmt: skip
                optimisers.restore("p", movers[index], stored)
        for parameter, mover in zip((straight, last), movers, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
            mover.step()
    assert last.stride() != straight.stride()
    assert torch.equal(straight, last)
    assert not torch.equal(straight, start)


def test_gradients_keep_their_place_through_a_vector() -> None:
    torch.manual_seed(0)
    shapes = [(4, 3, 3, 3), (5,), (6, 2, 1, 1)]
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    parameters[0].data = parameters[0].data.contiguous(memory_format=torch.channels_last)
    wanted = [torch.randn_like(p) for p in parameters]
    # torch may give them laid out in another way than their parameters, or not at all.
    given = [None, *(grad.contiguous() for grad in wanted[1:])]
    wanted[0].zero_()
    pairs = zip(given, parameters, strict=True)
    flat = torch.cat([steps._flat(steps._laid(g, p)) for g, p in pairs])
    steps._spread(flat, parameters)
    for parameter, grad in zip(parameters, wanted, strict=True):
        assert parameter.grad is not None
        assert parameter.grad.stride() == parameter.stride()
        assert torch.equal(parameter.grad, grad)
