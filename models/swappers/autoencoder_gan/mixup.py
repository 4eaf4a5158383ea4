"""Least squares critics that judge mixtures of real and drawn pictures.

faceswap-GAN trains its critics by mixup (Zhang et al. 2018, arXiv 1710.09412) with the squares of
LSGAN (Mao et al. 2017, arXiv 1611.04076): of a picture that is real by a share s and drawn by the
rest, the critic has to say s.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.layers import random_numbers

SHAPE = 0.2
"""Both parameters of the Beta distribution of shares: most mixtures are almost pure."""


def draw_share(device: torch.device) -> Tensor:
    """A share of the real picture, () in [0,1]; the random numbers are those of the CPU."""
    return random_numbers.beta(SHAPE).to(device, non_blocking=True)


def mixed(real: Tensor, drawn: Tensor, share: Tensor) -> Tensor:
    """Real pictures by `share`, drawn ones by the rest: 1 gives the real, 0 the drawn ones."""
    return share * real + (1 - share) * drawn


def mixup_critic(verdicts: Tensor, share: Tensor) -> Tensor:
    """Mean squared difference between verdicts on mixtures and the share that is real."""
    return (verdicts.float() - share).square().mean()
