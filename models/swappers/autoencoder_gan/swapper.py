"""Shared encoder and a decoder per identity that draw a face and its mask, against critics.

faceswap-GAN v2.2 (github.com/shaoanlu/faceswap-GAN, 2018), with its figures: at the defaults the
networks are its own, 73 million parameters (docs/model_cards/autoencoder_gan.md). Each decoder
draws colours and an alpha mask; the face is laid over what the encoder was shown. A critic per
side sees the result and the picture without its mask beside that input, and learns from mixtures
of real and drawn ones. Edges, eyes and the features of a frozen network count beside the pixels,
and the mask has losses of its own, which change along the training.

What differs: one Adam moves what two moved in turn (as in the plain autoencoder, the encoder
takes two steps' worth), the features are those of `Frozen.perceptual`, and the decoders do not
change places at 80 % of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.layers.attribute_figure import attribute_figure
from models.layers.feature_network import FeatureNetwork
from models.layers.mask_border import soft_border
from models.losses.adversarial import squares_generator
from models.swappers.abilities import Equips, Frozen, ShowsMore, SwapsBack
from models.swappers.autoencoder_gan.colour_match import random_match
from models.swappers.autoencoder_gan.config import AutoencoderGanConfig
from models.swappers.autoencoder_gan.losses import (
    Lesson,
    Losses,
    features,
    masks,
    pixels,
    squares,
)
from models.swappers.autoencoder_gan.mixup import draw_share, mixed, mixup_critic
from models.swappers.autoencoder_gan.motion_blur import motion_blurred
from models.swappers.autoencoder_gan.networks import Critic, Decoder, Drawn, Encoder
from models.swappers.base import Phase, Swapper, SwapperConfig

BETAS = (0.5, 0.999)
SIDES = ("source", "target")
SHOWN = 6
"""Faces in the picture of masks."""


class AutoencoderGan(Swapper, Equips, SwapsBack, ShowsMore):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "autoencoder_gan"
    paced: ClassVar[bool] = True
    Config: ClassVar[type[SwapperConfig]] = AutoencoderGanConfig
    needs: ClassVar[tuple[str, ...]] = ("landmarks_5",)
    config: AutoencoderGanConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        given = self.config
        sizes = (given.size_px, given.width, given.norm, given.attention_px)
        self.encoder = Encoder(*sizes)
        self.decoders = nn.ModuleDict({side: Decoder(*sizes) for side in SIDES})
        judges = (given.size_px, given.critic_width, given.norm, given.attention_px)
        self.critics = nn.ModuleDict({side: Critic(*judges) for side in SIDES})
        self.perceptual: FeatureNetwork | None = None

    def equip(self, analysers: Frozen) -> None:
        """Take the network whose features the losses compare; it is not saved."""
        if any(self.config.perceptual):
            self.perceptual = analysers.perceptual()

    def phases(self) -> list[Phase]:
        """Critics and generator in one step, the critics first, as v2.2 has it."""
        given = self.config
        encoder, decoders = list(self.encoder.parameters()), list(self.decoders.parameters())
        factors = [given.encoder_rate] * len(encoder) + [1.0] * len(decoders)
        critics, budget = list(self.critics.parameters()), self.plan_images

        def rate(images: int) -> float:
            return given.rate(images / budget) if budget else 1.0

        def phase(name: str, moved: list[nn.Parameter], step: float) -> Phase:
            return Phase(name, moved, learning_rate=step, betas=BETAS, rate=rate)

        return [
            phase("critic", critics, given.critic_learning_rate),
            replace(phase("generator", encoder + decoders, given.learning_rate), factors=factors),
        ]

    @property
    def _share(self) -> float:
        """Share of the budget that is spent; without one, all of it."""
        return self.images_seen / self.plan_images if self.plan_images else 1.0

    # ---- in use ----------------------------------------------------------------------------

    def draw(self, image: Tensor, side: str) -> Drawn:
        """What the decoder of `side` makes of (B,3,S,S) in [-1,1]."""
        drawn: Drawn = self.decoders[side](self.encoder(image))
        return drawn

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """The source's face in the target's pose; the mask is the learned alpha, edges faded.

        With `swap_mask: whole` it is 1 up to the edges: a short training leaves alphas too low.
        """
        return self._replaced(target["crop"], "source")

    def swap_back(self, source: Batch) -> tuple[Tensor, Tensor]:
        """The target's face on the source's crops."""
        return self._replaced(source["crop"], "target")

    def _replaced(self, crop: Tensor, side: str) -> tuple[Tensor, Tensor]:
        drawn = self.draw(crop, side)
        border = soft_border(self.size_px, self.config.border).to(drawn.alpha.device)
        if self.config.swap_mask == "whole":
            return drawn.colour, border.expand_as(drawn.alpha)
        return drawn.colour, drawn.alpha * border

    def pictures(self, target: Batch, source: Batch) -> dict[str, Tensor]:
        """`masks`: per face the crop, the face drawn, its mask, one over the other; both ways."""
        columns: list[Tensor] = []
        for batch, side in ((target, "source"), (source, "target")):
            crop = batch["crop"][:SHOWN]
            drawn = self.draw(crop, side)
            columns += [crop, drawn.colour, 2 * drawn.alpha - 1, drawn.over(crop)]
        count = min(len(column) for column in columns)
        return {"masks": attribute_figure([column[:count] for column in columns])}

    # ---- training --------------------------------------------------------------------------

    def losses(self, phase: str, source: Batch, target: Batch) -> Losses:
        """Weighted losses of a phase, by side and name.

        Raises:
            TypeError: a phase that this family does not have.
            ModelError: features are to be compared, and `equip` has not run.
        """
        if phase == "critic":
            with torch.no_grad():
                lessons = self._lessons(source, target)
            return self._critic_losses(lessons)
        if phase == "generator":
            return self._generator_losses(self._lessons(source, target))
        return super().losses(phase, source, target)

    def _lessons(self, source: Batch, target: Batch) -> list[Lesson]:
        """Both sides, recoloured and blurred by chance, and what is drawn of them."""
        given, batches = self.config, (source, target)
        everybody = torch.cat([batch["crop"] for batch in batches])
        pictures = []
        for batch in batches:
            recolour = random_match(batch["crop"], everybody, given.colour_match)
            both = [recolour.apply(batch[name]) for name in ("warped", "crop")]
            shown, wanted = motion_blurred(both, given.motion_blur)
            pictures.append((shown, wanted))
        counts = [len(batch["crop"]) for batch in batches]
        codes = self.encoder(torch.cat([shown for shown, _ in pictures])).split(counts)
        parts = zip(SIDES, pictures, batches, codes, strict=True)
        return [
            Lesson(side, shown, wanted, batch["landmarks_5"], self.decoders[side](code))
            for side, (shown, wanted), batch, code in parts
        ]

    def _verdicts(self, lesson: Lesson, pictures: Sequence[Tensor]) -> Sequence[Tensor]:
        """The critic of a side on several pictures of the same input."""
        shown = lesson.shown.repeat(len(pictures), 1, 1, 1)
        verdicts: Tensor = self.critics[lesson.side](torch.cat(list(pictures)), shown)
        return verdicts.chunk(len(pictures))

    def _critic_losses(self, lessons: list[Lesson]) -> Losses:
        """`mixup`: mixtures of the real crop with the result, and with the face alone."""
        found = Losses()
        for lesson in lessons:
            share, pictures = draw_share(lesson.wanted.device), (lesson.result, lesson.drawn.colour)
            mixtures = [mixed(lesson.wanted, picture, share) for picture in pictures]
            verdicts = self._verdicts(lesson, mixtures)
            found[f"{lesson.side}.mixup"] = torch.stack(
                [mixup_critic(verdict, share) for verdict in verdicts]
            ).sum()
        return found | {"decay": self.config.decay * squares(self.critics)}

    def _generator_losses(self, lessons: list[Lesson]) -> Losses:
        given, found = self.config, Losses()
        for lesson in lessons:
            parts = pixels(lesson, given) | masks(lesson.drawn.alpha, given, self._share)
            verdicts = self._verdicts(lesson, (lesson.result, lesson.drawn.colour))
            missed = torch.stack([squares_generator([verdict]) for verdict in verdicts]).sum()
            parts["adversarial"] = given.adversarial * missed
            if given.cycle:
                parts["cycle"] = given.cycle * self._cycle(lesson)
            found |= {f"{lesson.side}.{name}": value for name, value in parts.items()}
        if any(given.perceptual) and self._share >= given.perceptual_from:
            if self.perceptual is None:
                problem, step = "has no network whose features it compares", "run stage `train`"
                raise ModelError(self.family, problem, f"{step}, or set `perceptual: [0]`")
            found["perceptual"] = features(lessons, self.perceptual, given)
        # Each of v2.2's two Adams is given the encoder's.
        decay = given.decay * (2 * squares(self.encoder) + squares(self.decoders))
        return found | {"decay": decay}

    def _cycle(self, lesson: Lesson) -> Tensor:
        """Mean difference of a crop from itself drawn as the other side, and back."""
        other = SIDES[1 - SIDES.index(lesson.side)]
        there = self.draw(lesson.wanted, other).colour
        back = self.draw(there, lesson.side).colour
        return (back - lesson.wanted).abs().mean()
