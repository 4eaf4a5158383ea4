"""Convolutions whose padding reflects, kept in the type of their input."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.layers.feature_network import exact


class Reflected(nn.Conv2d):
    """(B,C,S,S) -> (B,C',S/stride,S/stride): odd kernel, edges reflected.

    As nn.Conv2d with `padding_mode="reflect"`, which autocast pads in float32 on a CPU: bf16
    features would be widened, padded and narrowed again.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, bias=bias)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        edge = [self.kernel_size[0] // 2] * 4
        with exact(image.device):
            padded = functional.pad(image, edge, mode="reflect")
        return super().forward(padded)
