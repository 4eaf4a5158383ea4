"""Every place of a map looks at every other one: self-attention of convolutional networks.

Zhang et al., "Self-Attention Generative Adversarial Networks" (2019, arXiv 1805.08318), section 3.
What was looked up is added to the map times a learned number that begins at 0, so that a network
first learns to work with what is near.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SQUEEZE = 8
"""Queries and keys have this many times fewer channels than the map."""
BLOCK = 256
"""Places whose weights are computed at a time on a CPU: they stay in its cache."""


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query key^T) value, without a scale: (B,N,q), (B,N,q), (B,N,v) -> (B,N,v).

    On a CPU in blocks of queries, of which torch's own function profits less (4096 places, 8 and
    64 channels, bf16, one core: 42 ms with gradients against 129 ms); elsewhere by that function,
    which wants queries as long as values and is given zeros.
    """
    if query.device.type == "cpu":
        across = key.transpose(1, 2)
        blocks = [query[:, begin : begin + BLOCK] for begin in range(0, query.shape[1], BLOCK)]
        return torch.cat([torch.softmax(some @ across, -1) @ value for some in blocks], 1)
    lacking = (0, value.shape[-1] - query.shape[-1])
    long = [functional.pad(each, lacking) for each in (query, key)]
    found = functional.scaled_dot_product_attention(
        long[0][:, None], long[1][:, None], value[:, None], scale=1.0
    )
    return found[:, 0]


class SelfAttention(nn.Module):
    """(B,C,H,W) -> the same + gain * what each place found in the others; gain is 0 at first.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.short = max(1, channels // SQUEEZE)
        self.look = nn.Conv2d(channels, 2 * self.short + channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        count, channels, height, width = feature.shape
        places = self.look(feature).permute(0, 2, 3, 1).flatten(1, 2)
        query, key, value = places.split([self.short, self.short, channels], 2)
        found = attend(query, key, value).view(count, height, width, channels)
        return feature + self.gain.to(found.dtype) * found.permute(0, 3, 1, 2)
