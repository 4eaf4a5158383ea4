"""A convolution whose training on a CPU does not suffer where the weights outweigh the pictures.

oneDNN rearranges the weights of every call, and its bf16 gradients of the weights run at a fifth
of the speed of a matrix product where few output positions meet many channels (4x4 px and 512 to
1024 channels, the middle of an autoencoder: measured 171 against 850 GFLOP/s on two cores with
AVX-512 bf16). There the convolution and both of its gradients are written as products with the
matrix of patches (Chellapilla et al., "High Performance Convolutional Neural Networks for
Document Processing", 2006). The arithmetic is the same: bf16 factors, sums in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

MIN_WEIGHTS = 2500
"""Weights per output position of the batch from which the product is faster."""


def patches(image: Tensor, kernel: int, stride: int) -> Tensor:
    """(B,H,W,C) -> (B*H'*W', k*k*C): what the kernel sees at each output position, zero-padded.

    The padding is half of an odd kernel and the sides are multiples of the stride, so that
    H' = H / stride.
    """
    count, height, width, channels = image.shape
    edge = kernel // 2
    padded = functional.pad(image, (0, 0, edge, edge, edge, edge))
    high, wide = height // stride, width // stride
    batch, row, column, _ = padded.stride()
    shape = (count, high, wide, kernel, kernel, channels)
    steps = (batch, row * stride, column * stride, row, column, 1)
    return padded.as_strided(shape, steps).reshape(count * high * wide, -1)


def unpatch(seen: Tensor, shape: tuple[int, ...], kernel: int, stride: int) -> Tensor:
    """Sum of patches at the places they came from, the transpose of `patches`, in float32.

    Args:
        seen: (B*H'*W', k*k*C).
        shape: (B,H,W,C) of the result.
    """
    count, height, width, channels = shape
    edge = kernel // 2
    high, wide = height // stride, width // stride
    parts = seen.view(count, high, wide, kernel, kernel, channels)
    total = torch.zeros(count, height + 2 * edge, width + 2 * edge, channels)
    for row in range(kernel):
        for column in range(kernel):
            ends = (row + stride * high, column + stride * wide)
            place = total[:, row : ends[0] : stride, column : ends[1] : stride]
            place += parts[:, :, :, row, column]
    return total[:, edge : edge + height, edge : edge + width]


class Product(Function):
    """Convolution in bf16 as a product with the matrix of patches."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        """(B,C,H,W), (C',C,k,k), (C',) of any type -> bf16 (B,C',H/stride,W/stride)."""
        count, _, height, width = image.shape
        kernel = weight.shape[-1]
        # Inputs are rounded by hand: autocast is off in here.
        pixels = image.permute(0, 2, 3, 1).to(torch.bfloat16).contiguous()
        matrix = weight.permute(0, 2, 3, 1).to(torch.bfloat16).reshape(len(weight), -1)
        seen = patches(pixels, kernel, stride)
        ctx.save_for_backward(seen, matrix)
        ctx.shape, ctx.kernel, ctx.stride = pixels.shape, kernel, stride
        drawn = functional.linear(seen, matrix, bias.to(torch.bfloat16))
        return drawn.view(count, height // stride, width // stride, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of picture, weight and bias; torch gives them the types of the inputs."""
        seen, matrix = ctx.saved_tensors
        kernel, channels = ctx.kernel, ctx.shape[-1]
        grad = grads[0].permute(0, 2, 3, 1).reshape(len(seen), -1)
        image = None
        if ctx.needs_input_grad[0]:
            image = unpatch(grad @ matrix, ctx.shape, kernel, ctx.stride).permute(0, 3, 1, 2)
        weight = (grad.T @ seen).view(-1, kernel, kernel, channels).permute(0, 3, 1, 2)
        return image, weight, grad.sum(0), None


class Convolution(nn.Conv2d):
    """Square odd kernel, padded by half of it; as nn.Conv2d, trained in bf16 on a CPU faster."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, kernel // 2)

    def forward(self, image: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C',H/stride,W/stride)."""
        stride = self.stride[0]
        positions = image.shape[0] * image.shape[2] * image.shape[3] // stride**2
        half = torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()
        heavy = self.weight.numel() >= MIN_WEIGHTS * positions
        if half and heavy and image.device.type == "cpu":
            given = (image, self.weight, self.bias, stride)
            drawn: Tensor = Product.apply(*given)  # type: ignore[no-untyped-call]  # torch's
            return drawn
        return super().forward(image)
