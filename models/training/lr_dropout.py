"""AdaBelief and RMSprop with learning-rate dropout, which torch's own optimisers do not offer.

Learning-rate dropout (Lin et al., "Learning Rate Dropout", 2019, arXiv 1912.00144): at each step
only a random share of the parameters moves; moments are kept for all of them. Which ones is drawn
from a generator of its own, seeded by the run's seed, the phase and the number of the step, so that
a resumed run draws what it would have drawn. Parameters are gone through in blocks that fit a CPU's
cache, all moments of a block at once: one pass over memory instead of six.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from models.training.seeds import seed_of

BLOCK = 1 << 16
"""Numbers of a block on a CPU; it says which random numbers fall on which parameter, too."""
STEP = "step"


class LearningRateDropout(Optimizer, ABC):
    """Base of both: steps, blocks and dropout.

    Args:
        params: parameters or groups, each with its `lr`.
        place: what the random numbers depend on beside the step: seed and phase.
        settings: `KNOWN` of the class, replaced by what is given here.

    Raises:
        ValueError: a setting that the class does not know.
    """

    KNOWN: ClassVar[Mapping[str, float]] = {}
    MOMENTS: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        params: list[dict[str, Any]],
        place: tuple[int | str, ...],
        settings: Mapping[str, float],
    ) -> None:
        unknown = sorted(set(settings) - set(self.KNOWN))
        if unknown:
            raise ValueError(f"unknown {', '.join(unknown)}; known: {', '.join(self.KNOWN)}")
        super().__init__(params, dict(self.KNOWN) | dict(settings))
        self._place = place
        # Counted from 1; a share of the parameters (`optimisers.move`) keeps them.
        own = [p for group in self.param_groups for p in group["params"]]
        self._numbers = {id(parameter): number for number, parameter in enumerate(own, start=1)}

    @abstractmethod
    def update(
        self, gradient: Tensor, moments: list[Tensor], group: Mapping[str, Any], step: int
    ) -> Tensor:
        """Bring the moments up to date, in place; the way to go, for a step size of 1."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; `closure` is not called (torch's signature)."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group, self._numbers[id(parameter)])

    def _move(self, parameter: Tensor, group: Mapping[str, Any], number: int) -> None:
        state = self.state[parameter]
        if not state:
            state[STEP] = torch.zeros(())
            state |= {name: torch.zeros_like(parameter) for name in self.MOMENTS}
        state[STEP] += 1
        step = int(state[STEP])
        random = self._random(group, parameter.device, number, step)
        tensors = [parameter, parameter.grad, *(state[name] for name in self.MOMENTS)]
        for where, gradient, *moments in _blocks([t for t in tensors if t is not None]):
            way = self.update(gradient, moments, group, step)
            if random:
                # Four times as fast as bernoulli_, which draws doubles one by one.
                way *= torch.empty_like(way).uniform_(generator=random) < group["lr_dropout"]
            where.sub_(way, alpha=group["lr"])

    def _random(
        self, group: Mapping[str, Any], device: torch.device, number: int, step: int
    ) -> torch.Generator | None:
        """Random numbers of a step of a parameter; None where nothing is drawn."""
        if group["lr_dropout"] >= 1:
            return None
        return torch.Generator(device).manual_seed(seed_of(*self._place, number, step))


def _blocks(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """The same stretch of memory of tensors of one layout, stretch after stretch."""
    first = tensors[0]
    dense = first.is_contiguous() or first.is_contiguous(memory_format=torch.channels_last)
    alike = all(tensor.stride() == first.stride() for tensor in tensors)
    if first.device.type != "cpu" or not dense or not alike:
        yield tensors
        return
    flat = [tensor.as_strided((first.numel(),), (1,)) for tensor in tensors]
    for begin in range(0, first.numel(), BLOCK):
        yield [tensor[begin : begin + BLOCK] for tensor in flat]


class AdaBelief(LearningRateDropout):
    """Zhuang et al., "AdaBelief Optimizer" (2020, arXiv 2010.07468), algorithm 1.

    m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) (g - m)^2;  parameter -= lr m / (sqrt(s) + eps)

    with m and s divided by 1 - b1^t and 1 - b2^t where `bias_correction` is 1, as in the paper;
    DeepFaceLab leaves that out. eps is added once, outside the root.
    """

    KNOWN: ClassVar[Mapping[str, float]] = {
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "bias_correction": 1.0,
        "lr_dropout": 1.0,
    }
    MOMENTS: ClassVar[tuple[str, ...]] = ("mean", "belief")

    def update(
        self, gradient: Tensor, moments: list[Tensor], group: Mapping[str, Any], step: int
    ) -> Tensor:
        """See the class."""
        mean, belief = moments
        beta1, beta2 = float(group["beta1"]), float(group["beta2"])
        mean.lerp_(gradient, 1 - beta1)
        apart = gradient - mean
        belief.mul_(beta2).addcmul_(apart, apart, value=1 - beta2)
        if not group["bias_correction"]:
            return mean / belief.sqrt().add_(group["eps"])
        root = (belief / (1 - beta2**step)).sqrt_().add_(group["eps"])
        return (mean / (1 - beta1**step)).div_(root)


class RMSprop(LearningRateDropout):
    """Mean square of the gradient (Tieleman and Hinton 2012): parameter -= lr g / (sqrt(a) + eps).

    The usual settings are those of Keras and DeepFaceLab; torch's own has rho 0.99.
    """

    KNOWN: ClassVar[Mapping[str, float]] = {"rho": 0.9, "eps": 1e-6, "lr_dropout": 1.0}
    MOMENTS: ClassVar[tuple[str, ...]] = ("square",)

    def update(
        self, gradient: Tensor, moments: list[Tensor], group: Mapping[str, Any], step: int
    ) -> Tensor:
        """See the class."""
        square, rho = moments[0], float(group["rho"])
        square.mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        return gradient / square.sqrt().add_(group["eps"])
