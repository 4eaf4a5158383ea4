"""FaceShifter: swaps between people who were never seen in training.

Li et al., "FaceShifter: Towards High Fidelity And Occlusion Aware Face Swapping" (2019, arXiv
1912.13457), with the sizes of the mindslab implementation. AEI-Net draws the target's attributes,
taken at every resolution, with the source's identity, which a frozen recogniser gives; HEAR-Net
puts back what was in front of the face. At `width: 1` and `size_px: 256` the channels are theirs.

What differs (docs/model_cards/faceshifter.md): the recogniser is MobileFaceNet with 128 numbers;
pairs of one identity are two of its crops, as in SimSwap and GHOST, not one crop twice; what
covers faces for HEAR-Net is drawn by code. Options: SimSwap's generator and feature matching, and
an eye loss in place of GHOST's.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.batch import Batch
from models.layers.attribute_figure import attribute_figure
from models.layers.mask_border import soft_border
from models.layers.norm import unwatched
from models.layers.patch_critics import MultiScale
from models.layers.recogniser import Recogniser
from models.losses import adversarial
from models.swappers.abilities import (
    DrawsPairs,
    Equips,
    Frozen,
    GivenSource,
    HasOptionalParts,
    Rehearses,
    Sampling,
    ShowsMore,
)
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.swappers.faceshifter import losses
from models.swappers.faceshifter.aei import AEINet, InjectionNet, attribute_masks
from models.swappers.faceshifter.attributes import natural_depth, scaled
from models.swappers.faceshifter.config import FaceShifterConfig
from models.swappers.faceshifter.gaze import gaze_distance
from models.swappers.faceshifter.hearnet import CHANNELS, HearNet
from models.swappers.faceshifter.refinement import Covered, cover, error

IDENTITY = 128
"""Length of the recogniser's vector (256 and 512 in other implementations)."""
BETAS = (0.0, 0.999)
SHOWN = 4
"""Faces in the picture of attribute masks."""


class FaceShifter(Swapper, Equips, DrawsPairs, GivenSource, HasOptionalParts, Rehearses, ShowsMore):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "faceshifter"
    paced: ClassVar[bool] = True
    Config: ClassVar[type[SwapperConfig]] = FaceShifterConfig
    needs: ClassVar[tuple[str, ...]] = ("landmarks_5", "landmarks_468")
    source_images: ClassVar[int] = 8
    optional: ClassVar[tuple[str, ...]] = ("hear",)
    # Every layer of the generator normalises single pictures, plane by plane.
    memory_format: ClassVar[torch.memory_format] = torch.contiguous_format
    config: FaceShifterConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        given = self.config
        natural = natural_depth(given.size_px)
        self.recogniser = Recogniser()
        self._known: tuple[Tensor, Tensor] | None = None
        self.aei: AEINet | InjectionNet
        if given.identity_injection == "aad":
            self.aei = AEINet(given.size_px, IDENTITY, given.width, given.depth)
        else:
            self.aei = InjectionNet(IDENTITY, given.width, given.injection_blocks)
        wide, deep = scaled(given.critic_width, given.width), given.critic_depth or natural - 1
        self.critic = MultiScale(3, wide, max(1, deep), given.critic_scales)
        self.hear: HearNet | None = None
        if given.hear:
            self.hear = HearNet(min(len(CHANNELS), natural), given.width)

    def sampling_of(self) -> Sampling:
        """Pairs of one identity with chance `same`."""
        return Sampling(self.config.same, self.config.same_within)

    def equip(self, analysers: Frozen) -> None:
        """Take the recogniser, which is saved with the model."""
        self.recogniser.take(analysers.embedder())
        self._known = None

    def phases(self) -> list[Phase]:
        """Generator and critic in one step; HEAR-Net in the last part of the budget, alone."""
        end = self._first_stage_images or None
        rate = self.config.learning_rate

        def phase(name: str, network: nn.Module, first: int, last: int | None) -> Phase:
            moved = list(network.parameters())
            return Phase(name, moved, first, last, learning_rate=rate, betas=BETAS)

        found = [phase("generator", self.aei, 0, end), phase("critic", self.critic, 0, end)]
        if self.hear is not None:
            found.append(phase("hear", self.hear, end or 0, None))
        return found

    @property
    def _first_stage_images(self) -> int:
        """Images after which AEI-Net stands still and HEAR-Net begins; 0 where nothing trains."""
        share = 0.0 if self.hear is None else self.config.hear_share
        return round(self.plan_images * (1 - share)) if share else 0

    @property
    def _refines(self) -> bool:
        """Whether HEAR-Net's time has come: before, previews show the first stage alone."""
        return self.images_seen >= self._first_stage_images

    # ---- in use ----------------------------------------------------------------------------

    def identity_of(self, batch: Batch) -> Tensor:
        """Unit identity (B,128) of each crop."""
        return self.recogniser.embed(batch["crop"], batch["landmarks_5"])

    def wanted(self, source: Batch) -> Tensor:
        """Unit mean (1,128) of the identities of some crops of one person.

        `convert` gives the same crops with every batch: the last answer is kept.
        """
        if self._known is None or self._known[0] is not source["crop"]:
            mean = self.identity_of(source).mean(dim=0, keepdim=True)
            self._known = (source["crop"], functional.normalize(mean).detach())
        return self._known[1]

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Draw the targets with the mean identity of the source's crops; refine by HEAR-Net.

        The whole crop is drawn; its mask fades towards the edge, and `convert` meets it with
        that of align.

        Raises:
            TypeError: without crops of the source.
        """
        if source is None:
            raise TypeError("faceshifter needs crops of the source identity")
        count = len(target["crop"])
        image, _ = self.aei(target["crop"], self.wanted(source).expand(count, -1))
        if self.hear is not None and self._refines:
            own = self.identity_of(target)
            image = self.hear(image, error(self.aei, target["crop"], own))
        border = soft_border(self.size_px, self.config.border).to(image.device)
        return image, border.expand(count, -1, -1, -1)

    def pictures(self, target: Batch, source: Batch) -> dict[str, Tensor]:
        """`masks`: per face the target, a source crop, the result, masks from coarse to fine."""
        some = {name: column[:SHOWN] for name, column in target.items()}
        masks = attribute_masks(self.aei, some["crop"], self.wanted(source))
        if not masks:
            return {}
        known = source["crop"][:1].expand(len(some["crop"]), -1, -1, -1)
        result, _ = self.swap(some, source)
        return {
            "masks": attribute_figure(
                [some["crop"], known, result, *(2 * mask - 1 for mask in masks)]
            )
        }

    # ---- training --------------------------------------------------------------------------

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Weighted losses of a phase, by name.

        Raises:
            TypeError: a phase that this family does not have.
        """
        if phase == "generator":
            return self._generator_losses(source, target)
        if phase == "critic":
            return self._critic_losses(source, target)
        if phase == "hear" and self.hear is not None:
            return self._hear_losses(self.hear, source, target)
        return super().losses(phase, source, target)

    def rehearse(self, phase: str, source: Batch, target: Batch) -> None:
        """What normalisation settles on: AEI-Net real and bare targets, HEAR-Net covered ones."""
        if phase == "generator" and not self.aei.attributes(target["crop"]):
            self.aei(target["crop"], self.identity_of(source))
        elif phase == "hear" and self.hear is not None and self._refines:
            with unwatched(self.aei):
                given = self._covered(source, target)
            self.hear(given.first, given.error)

    def _generator_losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        given, crop = self.config, target["crop"]
        identity = self.identity_of(source)
        drawn, attributes = self.aei(crop, identity)
        judged = self.critic.features(drawn)
        seen = self.recogniser.embed(drawn, target["landmarks_5"])
        parts = {
            "adversarial": (
                given.adversarial,
                adversarial.hinge_generator([layers[-1] for layers in judged]),
            ),
            "identity": (given.identity, losses.identity_distance(seen, identity)),
            "reconstruction": (
                given.reconstruction,
                losses.paired_squares(drawn, crop, target["same"]),
            ),
        }
        if attributes:
            again = self.aei.attributes(drawn)
            parts["attribute"] = (given.attribute, losses.attribute_distance(again, attributes))
        matching = self._matching
        if matching:
            parts["matching"] = (matching, self._structure(crop, judged))
        if given.eyes:
            apart = gaze_distance(drawn, crop, target["landmarks_468"])
            parts["eyes"] = (given.eyes, apart)
        return {name: weight * value for name, (weight, value) in parts.items()}

    @property
    def _matching(self) -> float:
        """Weight of feature matching."""
        usual = 0.0 if self.config.identity_injection == "aad" else 10.0
        given = self.config.feature_matching
        return usual if given is None else given

    def _structure(self, crop: Tensor, judged: list[list[Tensor]]) -> Tensor:
        """Weak feature matching: the later half of each critic's layers (SimSwap)."""
        with torch.no_grad():
            known = self.critic.features(crop)
        return adversarial.feature_matching(known, judged, len(judged[0]) // 2)

    def _critic_losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            drawn, _ = self.aei(target["crop"], self.identity_of(source))
        count = len(drawn)
        verdicts = self.critic(torch.cat([source["crop"], drawn]))
        real, made = [v[:count] for v in verdicts], [v[count:] for v in verdicts]
        return {"hinge": adversarial.hinge_critic(real, made)}

    def _covered(self, source: Batch, target: Batch) -> Covered:
        shares = (self.config.same, self.config.hear_same)
        return cover((self.aei, self.identity_of), (source, target), shares)

    def _hear_losses(self, hear: HearNet, source: Batch, target: Batch) -> dict[str, Tensor]:
        given = self._covered(source, target)
        refined = hear(given.first, given.error)
        seen = self.recogniser.embed(refined, target["landmarks_5"])
        return {
            "identity": losses.identity_distance(seen, given.identity),
            "change": (refined - given.first).abs().mean(),
            "reconstruction": losses.paired_squares(refined, given.crop, given.same),
        }
