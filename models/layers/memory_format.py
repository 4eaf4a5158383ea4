"""How the numbers of a network's convolutions lie in memory."""

from __future__ import annotations

import torch
from torch import nn


def lay_out(network: nn.Module, order: torch.memory_format) -> None:
    """Put the weights of convolutions in an order, which what they draw then follows.

    torch.channels_last: the channels of each pixel side by side, with which convolutions on a CPU
    are about twice as fast. torch.contiguous_format: one plane per channel, with which norms of
    single pictures and factors per channel are several times as fast. Neither names nor shapes
    change; files hold torch's order.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=order)
