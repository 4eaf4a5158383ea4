"""Running average of the weights: what is shown and saved where the plan asks for one.

Exponential moving average (Polyak and Juditsky 1992; as used for GANs by Yazici et al. 2019, arXiv
1806.04498), a_t = d a_(t-1) + (1 - d) w_t from a_0 = 0, divided by 1 - d^t as Adam's moments are
(Kingma and Ba 2015). Written as a step from the average before, the correction is part of the
factor, so that the first average is the first weights exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Average:
    """The average of all parameters of a network, critics included, which are never saved for use.

    Args:
        network: whose weights.
        decay: share of the average that stays at each step, in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after the `step`-th step of the training, counted from 1."""
        share = (1 - self.decay) / (1 - self.decay**step)
        given = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(list(self.tensors.values()), given, share)

    def exchange(self, network: nn.Module) -> None:
        """Give the network the average and keep its weights in its place; again: back."""
        for name, parameter in network.named_parameters():
            self.tensors[name], parameter.data = parameter.data, self.tensors[name]

    def state(self) -> dict[str, Tensor]:
        """The average by the parameters' names."""
        return dict(self.tensors)

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])
