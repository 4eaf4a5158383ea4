"""Soft erosion of a mask: it shrinks, and its new edge falls off smoothly.

The last step of FSGAN's second version before the swapped face is pasted (kernel of 21 px at
256 px, threshold 0.6, one iteration).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.feature_network import exact

AT_PX = 256
"""Side of the crops that the published kernel is meant for."""


def kernel_at(size_px: int, kernel: int = 21) -> int:
    """The published kernel on crops of `size_px`: the same share of the face, odd, at least 3."""
    return max(3, round(kernel * size_px / AT_PX) // 2 * 2 + 1)


def cone(side: int) -> Tensor:
    """Weights (side,side) of sum 1 that fall linearly from the middle to 0 at the corners."""
    offset = torch.arange(side, dtype=torch.float32) - side // 2
    distance = (offset[:, None].square() + offset.square()).sqrt()
    weights = distance.max() - distance
    return weights / weights.sum()


class SoftErosion(nn.Module):
    """Blurs a mask with a cone; what keeps more than `threshold` of its neighbourhood is inside.

    Outside of that the blurred mask is scaled so that it reaches 1 where the inside begins. At the
    crop's border the neighbourhood counts as empty, so that the border never shows.
    """

    weight: Tensor

    def __init__(self, kernel: int = 21, threshold: float = 0.6, iterations: int = 1) -> None:
        """Set up the cone.

        Args:
            kernel: its side in px, odd.
            threshold: share from which a pixel is inside, 0-1.
            iterations: blurs; all but the last one only ever lower the mask.
        """
        super().__init__()
        self.threshold, self.iterations = threshold, iterations
        self.register_buffer("weight", cone(kernel)[None, None], persistent=False)

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mask (B,1,S,S) in [0,1] -> the soft one, float32, and its inside, bool, alike in shape.

        Each picture is scaled by itself: what stands beside it in a batch changes nothing.
        """
        with exact(mask.device):
            soft = mask.float()
            for _ in range(self.iterations - 1):
                soft = torch.minimum(soft, self._blurred(soft))
            soft = self._blurred(soft)
            inside = soft >= self.threshold
            most = torch.where(inside, 0.0, soft).amax((1, 2, 3), keepdim=True)
            return torch.where(inside, 1.0, soft / most.clamp(min=1e-6)), inside

    def _blurred(self, mask: Tensor) -> Tensor:
        return functional.conv2d(mask, self.weight, padding=self.weight.shape[-1] // 2)
