"""Re-enactment from a drawing: the source's own footage, driven by somebody's landmarks.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017): a
U-Net turns a drawing of landmarks into the picture it was drawn from, and a critic of 70x70 px
patches tells drawing and true picture from drawing and made one. It learns the source alone; at
run time it is given drawings of the driver's landmarks. Demonstrations of the idea drew whole
frames, so that a driver who sat elsewhere or nearer broke them: here drawings and pictures are
aligned crops, in training and in use alike. docs/model_cards/pix2pix.md says the rest.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from models.batch import Batch, Crops
from models.layers.feature_network import exact
from models.layers.mask_border import soft_border
from models.layers.patch_critics import Patch
from models.losses.adversarial import logistic_critic, logistic_generator
from models.losses.pixels import l1
from models.swappers.abilities import Prepares, Rehearses
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.swappers.pix2pix.config import Pix2PixConfig
from models.swappers.pix2pix.drawings import draw, oval
from models.swappers.pix2pix.proportions import Likeness, measure
from models.swappers.pix2pix.translation_unet import TranslationUNet

GENERATOR, CRITIC = "generator", "discriminator"
CRITIC_DEPTH = 3
"""Convolutions of stride 2 in the critic: each verdict then sees 70x70 px."""


class Pix2Pix(Swapper, Prepares, Rehearses):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "pix2pix"
    mode: ClassVar[Literal["swap", "reenact"]] = "reenact"
    Config: ClassVar[type[SwapperConfig]] = Pix2PixConfig
    needs: ClassVar[tuple[str, ...]] = ("landmarks_468",)
    config: Pix2PixConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        given = self.config
        self.generator = TranslationUNet(
            given.size_px, given.width, given.upsampling, given.norm, given.dropout
        )
        self.critic = Patch(6, given.critic_width, CRITIC_DEPTH, padding=1)
        self.likeness = Likeness()

    def prepare(self, source: Crops, target: Crops) -> None:
        """Measure the proportions of both identities, and where the source's face stands."""
        self.likeness.compare(measure(source), measure(target))

    def phases(self) -> list[Phase]:
        """The critic learns before the generator, as in the paper's algorithm."""
        rate = self.config.learning_rate
        found = [Phase(GENERATOR, list(self.generator.parameters()), learning_rate=rate)]
        if self.config.adversarial_weight:
            found.insert(0, Phase(CRITIC, list(self.critic.parameters()), learning_rate=rate))
        return found

    def _drawn(self, meshes: Tensor) -> Tensor:
        return draw(meshes, self.size_px, self.config.drawing)

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """The source's crops out of their own drawings; the target's are not looked at.

        Raises:
            TypeError: a phase that this family does not have.
        """
        if phase not in {GENERATOR, CRITIC}:
            return super().losses(phase, source, target)
        drawing, wanted = self._drawn(source["landmarks_468"]), source["crop"]
        with torch.set_grad_enabled(torch.is_grad_enabled() and phase == GENERATOR):
            made = self.generator(drawing)
        verdict = self.critic(torch.cat([drawing, made], 1))
        if phase == CRITIC:
            genuine = self.critic(torch.cat([drawing, wanted], 1))
            return {"critic": logistic_critic([genuine], [verdict])}
        found = {"l1": 2 * self.config.l1_weight * l1(made, wanted)}
        if self.config.adversarial_weight:
            found["adversarial"] = self.config.adversarial_weight * logistic_generator([verdict])
        return found

    def rehearse(self, phase: str, source: Batch, target: Batch) -> None:
        """The generator as in use: drawings of the source, nothing dropped."""
        if phase != GENERATOR:
            return
        dropping = [part for part in self.generator.modules() if isinstance(part, nn.Dropout)]
        for part in dropping:
            part.eval()
        self.generator(self._drawn(source["landmarks_468"]))
        for part in dropping:
            part.train()

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """The source in the driver's pose and expression, whole crop; see `Swapper.swap`.

        Args:
            target: the driver's crops; only "landmarks_468" (B,468,3) is read, in px of crops of
                `size_px`.
            source: not used.

        Returns:
            Image (B,3,S,S), and as mask the oval of the face that was drawn.
        """
        meshes = target["landmarks_468"].float()
        if self.config.fit == "shape":
            # A fit of points has no use for the 8 bits that do for a network's layers.
            with exact(meshes.device):
                meshes = self.likeness(meshes, self.size_px)
        border = soft_border(self.size_px, self.config.border).to(meshes.device)
        return self.generator(self._drawn(meshes)), oval(meshes, self.size_px) * border
