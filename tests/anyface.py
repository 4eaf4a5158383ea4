"""A family for any face, as small as one can be: it colours the target by the source's identity."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.batch import Batch
from models.layers.norm import PreciseBatchNorm
from models.layers.recogniser import Recogniser
from models.swappers.abilities import DrawsPairs, Equips, Frozen, GivenSource, Sampling
from models.swappers.base import Phase, Swapper, SwapperConfig


class AnyFaceConfig(SwapperConfig):
    """No settings but the side."""

    size_px: int = 32


class AnyFace(Swapper, Equips, DrawsPairs, GivenSource):
    """Target crop and the source's mean embedding -> picture."""

    family: ClassVar[str] = "any_face"
    Config: ClassVar[type[SwapperConfig]] = AnyFaceConfig
    needs: ClassVar[tuple[str, ...]] = ("mask", "landmarks_5", "landmarks_468")
    source_images: ClassVar[int] = 3

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        self.recogniser = Recogniser()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), PreciseBatchNorm(6)
        self.colour, self.last = nn.Linear(128, 6), nn.Conv2d(6, 3, 1)

    def sampling_of(self) -> Sampling:
        """Half the pairs are of one identity."""
        return Sampling(same=0.5, within="clips")

    def equip(self, analysers: Frozen) -> None:
        """Take the recogniser's weights."""
        self.recogniser.take(analysers.embedder())

    def phases(self) -> list[Phase]:
        """One phase with all parameters."""
        return [Phase("generator", list(self.parameters()), learning_rate=1e-2)]

    def picture(self, target: Batch, identity: Tensor) -> Tensor:
        """(B,3,S,S) of crops and identities (B,128)."""
        feature = self.norm(self.first(target["crop"])) + self.colour(identity)[..., None, None]
        return torch.tanh(self.last(feature).float())

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Pairs of one identity show the target."""
        identity = self.recogniser.embed(source["crop"], source["landmarks_5"])
        apart = (self.picture(target, identity) - target["crop"]).abs().mean((1, 2, 3))
        return {"reconstruction": (apart * target["same"]).mean()}

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """See `Swapper`."""
        if source is None:
            raise TypeError("this family is given crops of the source")
        found = self.recogniser.embed(source["crop"], source["landmarks_5"]).mean(0, keepdim=True)
        image = self.picture(target, found.expand(len(target["crop"]), -1))
        return image.clamp(-1, 1), target["mask"]
