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

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.contracts.errors import ModelError
from models.layers.borders import soft_border
from models.layers.colour_match import random_match
from models.layers.eye_boxes import eye_boxes
from models.layers.feature_network import FeatureNetwork
from models.layers.mask_sheet import sheet
from models.layers.motion_blur import motion_blurred
from models.losses.adversarial import squares_generator
from models.losses.edges import edge_distance, total_variation
from models.losses.mixup import draw_share, mixed, mixup_critic
from models.losses.perceptual import standardised_squares
from models.swappers._autoencoder_gan_config import AutoencoderGanConfig
from models.swappers._autoencoder_gan_networks import Critic, Decoder, Drawn, Encoder, decayed
from models.swappers.base import Batch, Frozen, Phase, Swapper, SwapperConfig

BETAS = (0.5, 0.999)
SIDES = ("source", "target")
SHOWN = 6
"""Faces in the picture of masks."""
Losses = dict[str, Tensor]


class Lesson(NamedTuple):
    """One side's part of a batch.

    Attributes:
        side: whose.
        shown: (B,3,S,S) in [-1,1], what the encoder sees.
        wanted: what the decoder should draw.
        landmarks_5: (B,5,2) in px of `wanted`.
        drawn: what the decoder drew.
    """

    side: str
    shown: Tensor
    wanted: Tensor
    landmarks_5: Tensor
    drawn: Drawn


class AutoencoderGan(Swapper):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "autoencoder_gan"
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

    @property
    def size_px(self) -> int:
        """Side of the crops."""
        return self.config.size_px

    @property
    def coverage(self) -> float:
        """Share of align's crop."""
        return self.config.coverage

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
        """The source's face in the target's pose; the mask is the learned alpha, edges faded."""
        drawn = self.draw(target["crop"], "source")
        border = soft_border(self.size_px, self.config.border).to(drawn.alpha.device)
        return drawn.colour, drawn.alpha * border

    def pictures(self, target: Batch, source: Batch) -> dict[str, Tensor]:
        """`masks`: per face the crop, the face drawn, its mask, one over the other; both ways."""
        columns: list[Tensor] = []
        for batch, side in ((target, "source"), (source, "target")):
            crop = batch["crop"][:SHOWN]
            drawn = self.draw(crop, side)
            columns += [crop, drawn.colour, 2 * drawn.alpha - 1, drawn.over(crop)]
        count = min(len(column) for column in columns)
        return {"masks": sheet([column[:count] for column in columns])}

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
            pictures.append(motion_blurred(both, given.motion_blur))
        counts = [len(batch["crop"]) for batch in batches]
        codes = self.encoder(torch.cat([shown for shown, _ in pictures])).split(counts)
        return [
            Lesson(side, *pair, batch["landmarks_5"], self.decoders[side](code))
            for side, pair, batch, code in zip(SIDES, pictures, batches, codes, strict=True)
        ]

    def _verdicts(self, lesson: Lesson, pictures: Sequence[Tensor]) -> Sequence[Tensor]:
        """The critic of a side on several pictures of the same input."""
        shown = lesson.shown.repeat(len(pictures), 1, 1, 1)
        verdicts: Tensor = self.critics[lesson.side](torch.cat(list(pictures)), shown)
        return verdicts.chunk(len(pictures))

    def _critic_losses(self, lessons: list[Lesson]) -> Losses:
        """`mixup`: mixtures of the real crop with the result, and with the face alone."""
        found = {}
        for lesson in lessons:
            share, drawn = draw_share(lesson.wanted.device), lesson.drawn
            pictures = (drawn.over(lesson.shown), drawn.colour)
            mixtures = [mixed(lesson.wanted, picture, share) for picture in pictures]
            verdicts = self._verdicts(lesson, mixtures)
            found[f"{lesson.side}.mixup"] = torch.stack(
                [mixup_critic(verdict, share) for verdict in verdicts]
            ).sum()
        return found | {"decay": self.config.decay * _squares(self.critics)}

    def _generator_losses(self, lessons: list[Lesson]) -> Losses:
        given, found = self.config, {}
        for lesson in lessons:
            parts = self._pixels(lesson) | self._mask(lesson.drawn.alpha)
            pictures = (lesson.drawn.over(lesson.shown), lesson.drawn.colour)
            squares = [squares_generator([v]) for v in self._verdicts(lesson, pictures)]
            parts["adversarial"] = given.adversarial * torch.stack(squares).sum()
            if given.cycle:
                parts["cycle"] = given.cycle * self._cycle(lesson)
            found |= {f"{lesson.side}.{name}": value for name, value in parts.items()}
        if any(given.perceptual) and self._share >= given.perceptual_from:
            found["perceptual"] = self._features(lessons)
        # Each of v2.2's two Adams is given the encoder's.
        squares_of_kernels = 2 * _squares(self.encoder) + _squares(self.decoders)
        return found | {"decay": given.decay * squares_of_kernels}

    def _pixels(self, lesson: Lesson) -> Losses:
        """Differences in [-1,1] units, at every size that is drawn; edges; both at the eyes."""
        given, colour, wanted = self.config, lesson.drawn.colour, lesson.wanted
        apart = (colour - wanted).abs()
        total = apart.mean()
        for small in lesson.drawn.smaller:
            total = total + (small - resized(wanted, small.shape[-1])).abs().mean()
        boxes = eye_boxes(lesson.landmarks_5, self.size_px)
        at_eyes = (apart * boxes).mean() + edge_distance(colour, wanted, boxes)
        return {
            "reconstruction": given.reconstruction * total,
            "edge": given.edge * edge_distance(colour, wanted),
            "eyes": given.eyes * at_eyes,
        }

    def _mask(self, alpha: Tensor) -> Losses:
        """Small, or above a margin, as the schedule has it; and even."""
        given, margin = self.config, self.config.margin(self._share)
        size = (
            given.mask * alpha.mean()
            if margin is None
            else given.hinge * functional.relu(margin - alpha).mean()
        )
        return {"mask": size, "variation": given.variation * total_variation(alpha)}

    def _cycle(self, lesson: Lesson) -> Tensor:
        """Mean difference of a crop from itself drawn as the other side, and back."""
        other = SIDES[1 - SIDES.index(lesson.side)]
        there = self.draw(lesson.wanted, other).colour
        back = self.draw(there, lesson.side).colour
        return (back - lesson.wanted).abs().mean()

    def _features(self, lessons: list[Lesson]) -> Tensor:
        """Features of both sides: of mixtures of face and result, so that one pass judges both."""
        if self.perceptual is None:
            problem, step = "has no network whose features it compares", "run stage `train`"
            raise ModelError(self.family, problem, f"{step}, or set `perceptual: [0]`")
        some = slice(math.ceil(self.config.perceptual_share * len(lessons[0].wanted)))
        share = draw_share(lessons[0].wanted.device)
        wanted = torch.cat([lesson.wanted[some] for lesson in lessons])
        five = torch.cat([lesson.landmarks_5[some] for lesson in lessons])
        drawn = torch.cat(
            [mixed(one.drawn.colour, one.drawn.over(one.shown), share)[some] for one in lessons]
        )
        with torch.no_grad():
            known = self.perceptual.features(wanted, five)
        seen = self.perceptual.features(drawn, five)
        # Each side has a loss of its own: a mean over both would count half.
        return 2 * standardised_squares(seen, known, self.config.perceptual)


def resized(image: Tensor, side_px: int) -> Tensor:
    """(B,3,S,S) -> (B,3,side,side), bilinear without antialiasing, as TensorFlow 1 does it."""
    size = (side_px, side_px)
    return functional.interpolate(image, size, mode="bilinear", align_corners=False)


def _squares(network: nn.Module) -> Tensor:
    """Sum of the squares of all kernels that decay."""
    return torch.stack([torch.linalg.vector_norm(w).square() for w in decayed(network)]).sum()
