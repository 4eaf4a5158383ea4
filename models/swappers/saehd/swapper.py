"""SAEHD of DeepFaceLab: an auto-encoder that learns the mask with the face, DF or LIAE.

Perov et al., "DeepFaceLab: Integrated, flexible and extensible face-swapping framework" (2020,
arXiv 2005.05535); figures that the paper leaves out are those of its code. DF has one dense middle
and a decoder for each identity, and swaps by the source's decoder. LIAE has one decoder and two
middles: AB sees both identities, B the target alone; the source is drawn from AB twice, the target
from B and AB, and a swap is the target's AB twice.

`preset: quick` is the same family at the settings of Quick96. What differs from DeepFaceLab stands
in docs/model_cards/saehd.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.batch import Batch, Crops
from models.layers import random_numbers
from models.layers.gaussian_blur import blur
from models.layers.mask_border import soft_border
from models.swappers.abilities import (
    DrawsPairs,
    MayBeUnfinished,
    MayRefusePools,
    Prepares,
    Sampling,
    SwapsBack,
)
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.swappers.saehd import masked_losses
from models.swappers.saehd.colour_transfer import recolour
from models.swappers.saehd.config import SaehdConfig
from models.swappers.saehd.dense_codes import begin
from models.swappers.saehd.eyes_mouth import eyes_mouth
from models.swappers.saehd.paired_autoencoder import Drawn, PairedAutoencoder, Sizes
from models.swappers.saehd.unet_critic import CodeCritic, PatchUNet

CRITICS = ("critic.", "code_critic.")
"""Parts that only training uses: they come and go between a model and its fine-tuning."""


class Saehd(Swapper, Prepares, SwapsBack, DrawsPairs, MayRefusePools, MayBeUnfinished):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "saehd"
    paced: ClassVar[bool] = True
    Config: ClassVar[type[SwapperConfig]] = SaehdConfig
    needs: ClassVar[tuple[str, ...]] = ("mask", "landmarks_468")
    config: SaehdConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        given = self.config
        dims = (given.ae_dims, given.e_dims, given.d_dims, given.d_mask_dims)
        sizes = Sizes(given.size_px, *dims)
        self.networks = PairedAutoencoder(sizes, given.options, apart=given.kind == "df")
        patch = given.gan_patch_px or max(3, given.size_px // 8)
        self.critic = PatchUNet(3, patch, given.gan_dims) if given.gan else None
        side = self.networks.middle.side
        self.code_critic = CodeCritic(self.networks.channels, side) if given.true_face else None
        for critic in (self.critic, self.code_critic):
            if critic is not None:
                begin(critic)
        self.pretrained: Tensor
        self.register_buffer("pretrained", torch.zeros(()))
        hook = self.register_load_state_dict_pre_hook
        hook(_critics_come_and_go)  # type: ignore[no-untyped-call]  # torch's

    def sampling_of(self) -> Sampling:
        """Rows of the source and of the target, which bring the mesh: never of one identity."""
        return Sampling(same=0.0)

    @property
    def takes_pools(self) -> bool:
        """Only to be pretrained."""
        return self.config.pretrain

    @property
    def unfinished(self) -> str | None:
        """A pretrained model's middles mix everybody of the pool."""
        return "is only pretrained: it knows no source" if self.config.pretrain else None

    def prepare(self, source: Crops, target: Crops) -> None:
        """Forget the middles of a pretrained model: they know other people."""
        if self.pretrained and not self.config.pretrain:
            self.networks.forget()
        self.pretrained.fill_(float(self.config.pretrain))

    # ---- training --------------------------------------------------------------------------

    def phases(self) -> list[Phase]:
        """The auto-encoder, and where they are wanted both critics, in one step."""
        found = [self._phase("autoencoder", list(self.networks.parameters()), 0)]
        if self.config.pretrain:
            return found
        if self.critic is not None:
            first = self._images(self.config.gan_from)
            found.append(self._phase("critic", list(self.critic.parameters()), first))
        if self.code_critic is not None:
            moved = list(self.code_critic.parameters())
            found.append(self._phase("code_critic", moved, 0))
        return found

    def _phase(self, name: str, moved: list[nn.Parameter], first: int) -> Phase:
        given = self.config
        options = {"lr_dropout": 1.0 if given.pretrain else given.lr_dropout, "eps": 1e-6}
        swings = given.lr_cos_images and not given.pretrain
        return Phase(
            name,
            moved,
            first,
            optimiser=given.optimiser,
            learning_rate=given.learning_rate,
            options=options,
            clip_gradient=given.clip_gradient,
            rate=cosine(given.lr_cos_images) if swings else None,
        )

    def _images(self, share: float) -> int:
        return round(self.plan_images * share)

    @property
    def _warps(self) -> bool:
        """Whether the network still sees warped crops."""
        whole = self.config.random_warp_until == 1
        early = whole or self.images_seen < self._images(self.config.random_warp_until)
        return early and not self.config.pretrain

    @property
    def _judged(self) -> bool:
        """Whether the picture's critic has begun."""
        begun = self.images_seen >= self._images(self.config.gan_from)
        return self.critic is not None and begun and not self.config.pretrain

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Weighted losses of a phase, by name.

        Raises:
            TypeError: a phase that this family does not have.
        """
        if phase == "autoencoder":
            return self._own_losses(*self._sides(source, target))
        if phase == "critic" and self.critic is not None:
            return self._critic_losses(self.critic, self._sides(source, target)[0])
        if phase == "code_critic" and self.code_critic is not None:
            return self._code_losses(self.code_critic, *self._sides(source, target))
        return super().losses(phase, source, target)

    def _sides(self, source: Batch, target: Batch) -> tuple[Batch, Batch]:
        """What the networks see ("warped") and shall draw ("crop"), in [0,1]."""
        pictures, faces = [source["crop"], source["warped"]], (source["mask"], target["mask"])
        colours = "none" if self.config.pretrain else self.config.colour_transfer
        crop, warped = recolour(pictures, target["crop"], colours, faces)
        changed = ({**source, "crop": crop, "warped": warped}, target)
        first, second = (self._shown(side) for side in changed)
        return first, second

    def _shown(self, side: Batch) -> Batch:
        crop, seen = side["crop"], side["warped"] if self._warps else side["crop"]
        if self._warps and self.config.unwarped:
            still = random_numbers.rand(len(crop)).to(crop.device) < self.config.unwarped
            seen = torch.where(still[:, None, None, None], crop, seen)
        return {**side, "crop": (crop + 1) / 2, "warped": (seen + 1) / 2}

    def _own_losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        drawn = self.networks(source["warped"], target["warped"])
        found: dict[str, Tensor] = {}
        batches = (("source", source), ("target", target))
        for (name, batch), picture, mask in zip(batches, *drawn[1:], strict=True):
            parts = self._restored(batch, picture, mask)
            found |= {f"{name}.{loss}": value for loss, value in parts.items()}
        if not self.config.pretrain:
            found |= self._style_losses(drawn, target)
            if self.code_critic is not None:
                judged = self.code_critic(drawn.codes[0])
                found["true_face"] = self.config.true_face * masked_losses.verdict(
                    judged, real=True
                )
        if self._judged:
            found |= self._judgement(source, drawn.pictures[0])
        return found

    def _weight(self, batch: Batch) -> Tensor | float:
        return masked_losses.softened(batch["mask"]) if self.config.masked_training else 1.0

    def _restored(self, batch: Batch, picture: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Losses of one side against its own crops."""
        weight, wanted = self._weight(batch), batch["crop"]
        image, goal = picture * weight, wanted * weight
        found = {
            "dssim": masked_losses.structure(image, goal),
            "mse": masked_losses.squares(image, goal),
            "mask": masked_losses.squares(mask, batch["mask"]),
        }
        if self.config.eyes_mouth:
            parts = eyes_mouth(batch["landmarks_468"], self.size_px) * batch["mask"]
            found["eyes_mouth"] = masked_losses.priority(picture, wanted, parts)
        return found

    def _style_losses(self, drawn: Drawn, target: Batch) -> dict[str, Tensor]:
        """How far the swap is from the target's colours, on the face and beside it."""
        face, ground = self.config.face_style / 100, self.config.background_style / 100
        if not face and not ground:
            return {}
        code, found = self.networks.swapping(drawn.codes[1]), dict[str, Tensor]()
        decoder = self.networks.decoder
        mask = decoder.mask(code).detach()
        other = drawn.masks[1].detach()
        if face:
            image = decoder.picture(code.detach()) * mask
            goal = (drawn.pictures[1] * other).detach()
            found["face_style"] = face * masked_losses.style(image, goal)
        if ground:
            side = self.size_px
            beside = 1 - blur(mask * other, max(1, side // 32)).clamp(0, 1)
            image, goal = decoder.picture(code) * beside, target["crop"] * beside
            apart = masked_losses.structure(image, goal) + masked_losses.squares(image, goal)
            found["background_style"] = ground * apart
        return found

    def _judgement(self, source: Batch, picture: Tensor) -> dict[str, Tensor]:
        """What the critic thinks of the source's pictures, and what keeps them calm meanwhile."""
        if self.critic is None:
            return {}
        weight = self._weight(source)
        verdict = masked_losses.verdict(*self.critic(picture * weight), real=True)
        found = {"gan": self.config.gan * verdict}
        if self.config.masked_training:
            apart = (picture - source["crop"]) * (1 - weight)
            found["roughness"] = 1e-6 * masked_losses.roughness(picture)
            found["background"] = 0.02 * apart.square().mean()
        return found

    def _critic_losses(self, critic: PatchUNet, source: Batch) -> dict[str, Tensor]:
        weight = self._weight(source)
        with torch.no_grad():
            code = self.networks.source_code(self.networks.encoder(source["warped"]))
            picture = self.networks.decoder.picture(code)
        count = len(picture)
        verdicts = critic(torch.cat([source["crop"] * weight, picture * weight]))
        real = masked_losses.verdict(*(v[:count] for v in verdicts), real=True)
        made = masked_losses.verdict(*(v[count:] for v in verdicts), real=False)
        return {"verdict": (real + made) / 2}

    def _code_losses(self, critic: CodeCritic, source: Batch, target: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            codes = self.networks.codes(source["warped"], target["warped"])
        known = masked_losses.verdict(critic(codes[1]), real=True)
        other = masked_losses.verdict(critic(codes[0]), real=False)
        return {"verdict": (known + other) / 2}

    # ---- in use ----------------------------------------------------------------------------

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Draw the target's code as the source; the mask is learned, its edges faded."""
        code = self.networks.target_code(self.networks.encoder((target["crop"] + 1) / 2))
        swapping, kind = self.networks.swapping(code), self.config.learned_mask
        picture = self.networks.decoder.picture(swapping)
        mask = self.networks.decoder.mask(swapping) if kind != "target" else picture.new_ones(())
        if kind != "swapped":
            mask = mask * self.networks.target_mask(code)
        return self._laid(picture, mask)

    def swap_back(self, source: Batch) -> tuple[Tensor, Tensor]:
        """Draw the source's picture as the target, in the source's own colours."""
        code = self.networks.target_code(self.networks.encoder((source["crop"] + 1) / 2))
        return self._laid(*(self.networks.target_decoder or self.networks.decoder)(code))

    def _laid(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """A picture of [0,1] as `swap` gives it, and its mask with faded edges."""
        border = soft_border(self.size_px, self.config.border).to(picture.device)
        return picture * 2 - 1, mask * border


def cosine(period_images: int) -> Callable[[int], float]:
    """Factor of the step size after so many images: 1, down to 0 in half a period, and back."""

    def factor(images: int) -> float:
        return (math.cos(2 * math.pi * images / period_images) + 1) / 2

    return factor


def _critics_come_and_go(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
    """A critic of the file goes on where the model has one like it; another begins anew."""
    own = {k: v.detach() for k, v in module.named_parameters() if k.startswith(CRITICS)}
    for critic in CRITICS:
        mine = {name: value for name, value in own.items() if name.startswith(critic)}
        found = {name: state.pop(name) for name in list(state) if name.startswith(critic)}
        same = {n: v.shape for n, v in mine.items()} == {n: v.shape for n, v in found.items()}
        state.update(found if same else mine)
