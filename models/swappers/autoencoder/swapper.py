"""Shared encoder, one decoder per identity: the first face swapper, with its sizes as settings.

Follows deepfakes/faceswap (2018) and Oldpan/Faceswap-Deepfake-Pytorch: at `width: 128` and
`size_px: 64` the networks are theirs, 82 million parameters (docs/model_cards/autoencoder.md).
Both identities are encoded by the same network, so that the code comes to hold what they share
(pose, expression, light); the source's decoder then draws the target's code with its own face.

Theirs has two Adams, one per side, each over the encoder and its own decoder, and runs both
backward passes before both steps: the encoder takes two equal steps on the sum of both gradients.
One Adam that moves the encoder twice as far (`encoder_rate: 2`) does exactly the same in one pass
over the weights.
The order of channels in the pixel shuffle is torch's; weights of theirs do not fit.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.batch import Batch, Crops
from models.layers.mask_border import soft_border
from models.layers.resampling import down, grown, up
from models.losses.pixels import dssim, emphasis, l1
from models.swappers.abilities import Prepares, SwapsBack
from models.swappers.autoencoder.config import AutoencoderConfig
from models.swappers.base import Phase, Swapper, SwapperConfig


class Encoder(nn.Module):
    """(B,3,S,S) in [-1,1] -> code map (B,4w,S/8,S/8)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        width, side, deep = config.width, config.size_px // 16, 8 * config.width
        self.down = nn.Sequential(
            down(3, width),
            down(width, 2 * width),
            down(2 * width, 4 * width),
            down(4 * width, deep),
        )
        if config.bottleneck == "dense":
            flat, code = deep * side * side, config.code or deep
            self.code = nn.Sequential(
                nn.Flatten(),
                nn.Linear(flat, code),
                nn.Linear(code, flat),
                nn.Unflatten(1, (deep, side, side)),
            )
        else:
            # Oldpan's: 1024 channels to 128 and back at every place, neither with a bias.
            code = config.code or width
            self.code = nn.Sequential(
                nn.Conv2d(deep, code, 1, bias=False), nn.Conv2d(code, deep, 1, bias=False)
            )
        # Either way the decoders get 4 x width channels: what keeps four of each needs a quarter.
        kind = config.upsampling
        self.up = up(deep, 4 * width if kind == "pixel_shuffle" else width, kind)

    def forward(self, image: Tensor) -> Tensor:
        """Encode pictures; the networks work in [0,1] as the founding code does."""
        encoded: Tensor = self.up(self.code(self.down((image + 1) / 2)))
        return encoded


class Decoder(nn.Module):
    """Code map (B,4w,S/8,S/8) -> picture (B,3,S,S) in [-1,1]."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        kind, channels = config.upsampling, 4 * config.width
        stages: list[nn.Module] = []
        for filters in (2 * config.width, config.width, config.width // 2):
            stages.append(up(channels, filters, kind))
            channels = grown(filters, kind)
        self.up = nn.Sequential(*stages)
        self.picture = nn.Conv2d(channels, 3, 5, padding=2)

    def forward(self, code: Tensor) -> Tensor:
        """Draw pictures."""
        return torch.sigmoid(self.picture(self.up(code)).float()) * 2 - 1


def channel_means(crops: Crops) -> Tensor:
    """(1,3,1,1) means of all crops, in [-1,1] units."""
    total, count = torch.zeros(3, dtype=torch.float64), 0
    for batch in crops.batches(256):
        total += batch["crop"].double().mean(dim=(2, 3)).sum(dim=0)
        count += len(batch["crop"])
    return (total / max(count, 1)).float().view(1, 3, 1, 1)


class Autoencoder(Swapper, Prepares, SwapsBack):
    """The family; see the module's docstring."""

    family: ClassVar[str] = "autoencoder"
    Config: ClassVar[type[SwapperConfig]] = AutoencoderConfig
    needs: ClassVar[tuple[str, ...]] = ("mask",)
    config: AutoencoderConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(self.config)
        self.source_decoder = Decoder(self.config)
        self.target_decoder = Decoder(self.config)
        self.source_mean: Tensor
        self.target_mean: Tensor
        self.register_buffer("source_mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("target_mean", torch.zeros(1, 3, 1, 1))

    def prepare(self, source: Crops, target: Crops) -> None:
        """Measure the channel means of both identities."""
        self.source_mean.copy_(channel_means(source))
        self.target_mean.copy_(channel_means(target))

    def phases(self) -> list[Phase]:
        """One phase: encoder and both decoders in one step, the encoder by its own step size."""
        named = list(self.named_parameters())
        of_encoder = self.config.encoder_rate
        factors = [of_encoder if name.startswith("encoder.") else 1.0 for name, _ in named]
        parameters = [parameter for _, parameter in named]
        rate = self.config.learning_rate
        return [Phase("autoencoder", parameters, learning_rate=rate, factors=factors)]

    @property
    def _shift(self) -> Tensor:
        """(1,3,1,1) from the source's colours to the target's."""
        shift = self.target_mean - self.source_mean
        return shift if self.config.colour_shift else torch.zeros_like(shift)

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Each side restores its own crops from warped ones: `source.l1`, `target.l1`, ...

        Raises:
            TypeError: a phase that this family does not have.
        """
        if phase != "autoencoder":
            return super().losses(phase, source, target)
        shift = self._shift
        warped = torch.cat([source["warped"] + shift, target["warped"]])
        code = self.encoder(warped).split([len(source["warped"]), len(target["warped"])])
        found: dict[str, Tensor] = {}
        sides = (
            ("source", self.source_decoder(code[0]), source["crop"] + shift, source),
            ("target", self.target_decoder(code[1]), target["crop"], target),
        )
        share = self.config.mask_weight
        for side, picture, wanted, batch in sides:
            weight = emphasis(batch["mask"], share) if share else None
            found[f"{side}.l1"] = l1(picture, wanted, weight)
            if self.config.loss == "ssim_l1":
                found[f"{side}.dssim"] = dssim((picture + 1) / 2, (wanted + 1) / 2, weight)
        return found

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Decode the target's code with the source's decoder; the mask is align's, edges faded.

        The picture has the channel means of the target's training crops, which the source's
        were given before training.
        """
        picture = self.source_decoder(self.encoder(target["crop"]))
        border = soft_border(self.size_px, self.config.border).to(picture.device)
        return picture, target["mask"] * border

    def swap_back(self, source: Batch) -> tuple[Tensor, Tensor]:
        """The target's decoder on the source's crops, in the source's own colours."""
        picture = self.target_decoder(self.encoder(source["crop"] + self._shift)) - self._shift
        border = soft_border(self.size_px, self.config.border).to(picture.device)
        return picture, source["mask"] * border
