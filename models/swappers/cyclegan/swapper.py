"""CycleGAN: two generators learn to turn each identity's faces into the other's, without pairs.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks" (ICCV 2017, arXiv 1703.10593): residual generators, 70x70 patch critics with instance
norm, least-squares adversarial loss, cycle consistency, identity loss, a pool of 50 earlier
pictures, Adam whose step size falls to zero over the second half. A swap runs the target's crop
through the generator towards the source; nothing else of the source is looked at.

What differs (docs/model_cards/cyclegan.md): the crop is the inner face of two identities, not a
photograph of a domain; the critics judge pictures drawn after the generators' step, not before.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.batch import Batch
from models.layers.mask_border import soft_border
from models.layers.patch_critics import Patch
from models.losses import adversarial
from models.swappers.abilities import Remembers, SwapsBack
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.swappers.cyclegan.config import CycleGanConfig
from models.swappers.cyclegan.image_buffer import ImageBuffer, packed
from models.swappers.cyclegan.resnet_generator import ResnetGenerator, begin_small, natural_blocks

BETAS = (0.5, 0.999)


def linear_decay(images: int, plan_images: int, constant_share: float) -> float:
    """1 for the first `constant_share` of the budget, then evenly down to 0 at its end."""
    begin = plan_images * constant_share
    if images <= begin:
        return 1.0
    return max(0.0, (plan_images - images) / (plan_images - begin))


class CycleGan(Swapper, SwapsBack, Remembers):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "cyclegan"
    paced: ClassVar[bool] = True
    Config: ClassVar[type[SwapperConfig]] = CycleGanConfig
    needs: ClassVar[tuple[str, ...]] = ("mask",)
    config: CycleGanConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        given = self.config
        blocks = given.blocks or natural_blocks(given.size_px)
        self.to_source = ResnetGenerator(given.width, blocks)
        self.to_target = ResnetGenerator(given.width, blocks)
        self.source_critic = Patch(3, given.critic_width, given.critic_depth, padding=1)
        self.target_critic = Patch(3, given.critic_width, given.critic_depth, padding=1)
        begin_small(self)
        self.source_pool = ImageBuffer(given.pool, given.size_px)
        self.target_pool = ImageBuffer(given.pool, given.size_px)
        self._made: Batch = {}

    def phases(self) -> list[Phase]:
        """Both generators, then both critics, in every step; all slow down alike."""
        size, rate = self.config.learning_rate, self._rate if self.plan_images else None

        def phase(name: str, networks: tuple[nn.Module, ...]) -> Phase:
            moved = [parameter for network in networks for parameter in network.parameters()]
            return Phase(name, moved, learning_rate=size, betas=BETAS, rate=rate)

        return [
            phase("generator", (self.to_source, self.to_target)),
            phase("critic", (self.source_critic, self.target_critic)),
        ]

    def _rate(self, images: int) -> float:
        return linear_decay(images, self.plan_images, self.config.constant_share)

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Turn the target's crops into the source's; the mask is align's, faded at the edges."""
        return self.to_source(target["crop"]), self._faded(target["mask"])

    def swap_back(self, source: Batch) -> tuple[Tensor, Tensor]:
        """Turn the source's crops into the target's."""
        return self.to_target(source["crop"]), self._faded(source["mask"])

    def _faded(self, mask: Tensor) -> Tensor:
        return mask * soft_border(self.size_px, self.config.border).to(mask.device)

    # ---- training --------------------------------------------------------------------------

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Weighted losses of a phase: `source.cycle`, `target.adversarial`, ...

        A side's adversarial loss and verdicts are about pictures drawn to look like it; its cycle
        leads from it and back.

        Raises:
            TypeError: a phase that this family does not have.
        """
        self._made = {}
        if phase == "generator":
            return self._generator_losses(source["crop"], target["crop"])
        if phase == "critic":
            return self._critic_losses(source["crop"], target["crop"])
        return super().losses(phase, source, target)

    def _draw(
        self, generator: ResnetGenerator, other: Tensor, own: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """One side's crops out of the other's, and, where that counts, out of its own."""
        if not self._identity:
            return generator(other), None
        # One pass for both: a norm looks at one picture alone.
        drawn, same = generator(torch.cat([other, own])).split([len(other), len(own)])
        return drawn, same

    @property
    def _identity(self) -> float:
        """Weight of the identity loss."""
        return self.config.cycle * self.config.identity

    def _generator_losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        cycle = self.config.cycle
        as_source, same_source = self._draw(self.to_source, target, source)
        as_target, same_target = self._draw(self.to_target, source, target)
        found = {
            "source.adversarial": adversarial.squares_generator([self.source_critic(as_source)]),
            "target.adversarial": adversarial.squares_generator([self.target_critic(as_target)]),
            "source.cycle": cycle * (self.to_source(as_target) - source).abs().mean(),
            "target.cycle": cycle * (self.to_target(as_source) - target).abs().mean(),
        }
        for side, same, own in (("source", same_source, source), ("target", same_target, target)):
            if same is not None:
                found[f"{side}.identity"] = self._identity * (same - own).abs().mean()
        return found

    def _critic_losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        sides = (
            ("source", self.to_source, self.source_critic, self.source_pool, source, target),
            ("target", self.to_target, self.target_critic, self.target_pool, target, source),
        )
        found: dict[str, Tensor] = {}
        for side, generator, critic, pool, real, other in sides:
            with torch.no_grad():
                drawn = generator(other)
                shown, places = pool.show(drawn)
            verdicts = critic(torch.cat([real, shown])).split([len(real), len(shown)])
            found[f"{side}.squares"] = adversarial.squares_critic([verdicts[0]], [verdicts[1]])
            self._made |= {f"{side}.drawn": packed(drawn), f"{side}.places": places}
        return found

    def made(self) -> Batch:
        """What the critics' losses have drawn, in 8 bits, and its places in the pools."""
        made, self._made = self._made, {}
        return made

    def keep(self, phase: str, made: Batch) -> None:
        """Put what a part of the step has drawn into the pools."""
        self.source_pool.keep(made["source.drawn"], made["source.places"])
        self.target_pool.keep(made["target.drawn"], made["target.places"])
