"""How strong fine detail is, wherever exactly it lies.

Losses that compare pixels are least where doubtful detail is smoothed away. Local energy does not
ask for the place of a lash or a pore, only that there is as much of it.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def crispness(light: Tensor) -> Tensor:
    """Deviation of (B,1,H,W) from its 3x3 mean, over windows of 6 px: (B,1,H/2,W/2)."""
    padded = functional.pad(light, (1, 1, 1, 1), mode="replicate")
    fine = light - functional.avg_pool2d(padded, 3, 1)
    energy = functional.avg_pool2d(fine.square(), 6, 2, 2)
    root: Tensor = (energy + 1e-6).sqrt()
    return root
