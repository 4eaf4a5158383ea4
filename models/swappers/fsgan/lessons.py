"""What each network of FSGAN draws in training, and how it is judged.

Equations of Nirkin, Keller, Hassner, "FSGAN" (ICCV 2019), sections 4 and 5. A pair shows one
identity in one clip, so that the target crop is what the source's should become.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.layers.feature_network import FeatureNetwork
from models.losses.perceptual import perceptual
from models.swappers.fsgan.config import FsganConfig
from models.swappers.fsgan.face_parts import pseudo_labels
from models.swappers.fsgan.heatmaps import resized
from models.swappers.fsgan.networks import BLACK, Networks, halved, inner
from models.swappers.fsgan.poisson import poisson
from models.swappers.fsgan.random_occlusion import random_occlusion
from models.swappers.fsgan.reenactment import stepwise
from models.swappers.fsgan.segmentation_losses import between, cross_entropy

Losses = dict[str, Tensor]


class Lesson(NamedTuple):
    """One batch's work of a generator.

    Attributes:
        drawn: (B,3,s,s) in [-1,1].
        wanted: what it should have drawn.
        real: what the critic takes for real.
        five: landmarks_5 (B,5,2) in px of them.
        others: further losses.
    """

    drawn: Tensor
    wanted: Tensor
    real: Tensor
    five: Tensor
    others: Losses


class Teacher:
    """Lessons for the networks.

    Args:
        networks: which learn.
        config: weights of the losses.
        network: whose features are compared; needed where `perceptual_weight` is not 0.
    """

    def __init__(
        self, networks: Networks, config: FsganConfig, network: FeatureNetwork | None
    ) -> None:
        self.networks, self.config, self.network = networks, config, network

    def rec(self, drawn: Tensor, wanted: Tensor, five: Tensor) -> Tensor:
        """Weighted perceptual and pixel loss of two (B,3,s,s), equations 4 to 6.

        Features are compared of the first `perceptual_share` of the batch, which lies in no order.

        Raises:
            ModelError: there is no such network, and features count.
        """
        config = self.config
        total = config.pixel_weight * (drawn.float() - wanted.float()).abs().mean()
        if not config.perceptual_weight:
            return total
        if self.network is None:
            problem = "has no network whose features it compares"
            raise ModelError("fsgan", problem, "run stage `train`, or set `perceptual_weight: 0`")
        some = slice(math.ceil(config.perceptual_share * len(drawn)))
        with torch.no_grad():
            known = self.network.features(wanted[some], five[some])
        seen = self.network.features(drawn[some], five[some])
        return total + config.perceptual_weight * perceptual(seen, known)

    def segmentation(self, source: Batch, target: Batch, ramp: float, *, small: bool) -> Losses:
        """Gs: labels of both crops, and agreement with what Gr says of the target, equation 10.

        Args:
            source: crops.
            target: crops.
            ramp: share of the agreement's weight that counts by now, 0 to 1.
            small: whether Gr draws by its base alone yet.
        """
        names = ("crop", "mask", "landmarks_468")
        both = {name: torch.cat([source[name], target[name]]) for name in names}
        scores = self.networks.segmentation(both["crop"])
        found = {"cross_entropy": cross_entropy(scores, pseudo_labels(both))}
        if self.config.consistency_weight:
            first, second = (halved(source), halved(target)) if small else (source, target)
            with torch.no_grad():
                meshes = second["landmarks_468"]
                _, said = self.networks.redraw(first["crop"], meshes, small=small)
            own = scores[len(source["crop"]) :]
            own = functional.avg_pool2d(own, 2) if small else own
            found["consistency"] = ramp * self.config.consistency_weight * between(own, said)
        return found

    def lesson(
        self, stage: str, source: Batch, target: Batch, *, small: bool, judged: bool
    ) -> Lesson:
        """The generator of a stage at work.

        Args:
            stage: whose generator.
            source: crops.
            target: crops.
            small: by its base alone, at half the side.
            judged: with the further losses of the generator; a critic needs none.
        """
        if stage == "inpainting":
            return self._inpainting(source, target, small=small)
        if stage == "blending":
            return self._blending(source, target, small=small)
        return self._reenactment(source, target, small=small, judged=judged)

    def _reenactment(self, source: Batch, target: Batch, *, small: bool, judged: bool) -> Lesson:
        """Gr: straight to the target, and by steps; its segmentation, equation 9."""
        first, second = (halved(source), halved(target)) if small else (source, target)
        wanted, five, config = second["crop"], second["landmarks_5"], self.config
        drawn, scores = self.networks.redraw(first["crop"], second["landmarks_468"], small=small)
        found: Losses = {}
        if not judged:
            return Lesson(drawn, wanted, wanted, five, found)
        if config.steps > 1 and config.step_weight:
            image = first["crop"]
            way = stepwise(first["landmarks_468"], second["landmarks_468"], config.steps)
            for meshes in way:
                image, _ = self.networks.redraw(image, meshes, small=small)
            found["stepwise"] = config.step_weight * self.rec(image, wanted, five)
        if config.segmentation_weight:
            with torch.no_grad():
                said = self.networks.segmentation(target["crop"])
                said = functional.avg_pool2d(said, 2) if small else said
            found["segmentation"] = config.segmentation_weight * between(scores, said)
        return Lesson(drawn, wanted, wanted, five, found)

    def _inpainting(self, source: Batch, target: Batch, *, small: bool) -> Lesson:
        """Gc: the target's face from what is left of the source's, on black (section 4.3)."""
        with torch.no_grad():
            drawn, _ = self.networks.redraw(source["crop"], target["landmarks_468"])
            face = self.networks.face_of(target)
            seen = self.networks.face(drawn) & face & ~random_occlusion(face)
            hole = (face & ~seen).float()
            image = torch.where(seen, drawn, BLACK)
            wanted, five = torch.where(face, target["crop"], BLACK), target["landmarks_5"]
            if small:
                image, hole, wanted = (functional.avg_pool2d(p, 2) for p in (image, hole, wanted))
                five = resized(five, face.shape[-1], face.shape[-1] // 2)
        painted = self.networks.inpainting(image, hole, small=small).float()
        return Lesson(painted, wanted, wanted, five, {})

    def _blending(self, source: Batch, target: Batch, *, small: bool) -> Lesson:
        """Gb: another identity's face on the target, as Poisson's equation has it (section 4.4).

        Row i's target gets the source of row i - 1, in a pool mostly somebody else's.
        """
        with torch.no_grad():
            crops, five = target["crop"], target["landmarks_5"]
            drawn, _ = self.networks.redraw(source["crop"].roll(1, 0), target["landmarks_468"])
            mask = inner(self.networks.face(drawn) & self.networks.face_of(target))
            wanted = poisson(drawn, crops, mask)
            if small:
                pictures = (drawn, crops, mask, wanted)
                drawn, crops, mask, wanted = (functional.avg_pool2d(p, 2) for p in pictures)
                five = resized(five, target["crop"].shape[-1], crops.shape[-1])
        blended = self.networks.blending(drawn, crops, mask, small=small).float()
        return Lesson(blended, wanted, crops, five, {})
