"""Views of the source on the mesh, redrawn by a small network in the target's light.

Neural re-rendering (Thies et al., "Deferred Neural Rendering", 2019, arXiv 1904.12356; Texler et
al., "Interactive Video Stylization Using Few-Shot Patch-Based Training", 2020, arXiv 2004.14489):
`mesh_transfer` gives a guide, sharp and stiff; a network learns from the source's own footage what
such a guide should have looked like, and draws lids, lips and teeth as the mesh and the target's
own say. See docs/model_cards/mesh_residual.md.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor
from torch.nn import functional

from likeness.contracts.errors import ModelError
from models.batch import Batch, Crops
from models.layers.face_shape import describe, open_eyes
from models.layers.feature_network import exact
from models.layers.mesh_fit import TEXTURE_COLUMNS, shape_difference, sheet_mask
from models.layers.oklab import to_oklab, to_rgb
from models.layers.recogniser import Recogniser
from models.layers.uv_texture import UvTexture, smoothstep
from models.layers.view_bank import ViewBank
from models.layers.view_survey import gather, survey
from models.swappers.abilities import Equips, Frozen, Prepares
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.swappers.mesh_residual import lessons
from models.swappers.mesh_residual.config import MeshResidualConfig
from models.swappers.mesh_residual.network import ResidualUNet
from models.swappers.mesh_residual.scene import (
    FINE,
    HALF,
    LOW,
    Scene,
    SceneMaker,
    Stage,
    cut,
    paste,
)
from models.swappers.mesh_residual.shading import other_light

BOUNDS = (0.5, 0.1, 0.1)
"""Most that the network adds to lightness and to chroma, in Oklab."""
SLOPE = 0.4
"""Of the output before its bound: steps of the optimiser stay small."""
LIKE = 0.65
"""Cosine to the source that is asked for, and no more."""
IDENTITY_PART = 4
"""Of so many crops of the target one is swapped in a step, for `identity`."""
TOGETHER = 8
"""Crops swapped at a time, so that what is worked on stays near the processor."""


class MeshResidual(Swapper, Prepares, Equips):
    """Views on the mesh as in `mesh_transfer`, and what a network adds to them.

    Attributes:
        bank: the views, in buffers.
        target_open: (3,), the target's open eyes and brow height in cm, see `open_eyes`.
        shape_offset: (468,3), source's shape minus target's at like expression, in cm.
        network: draws the change of the guide.
        scenes: what the network sees.
        source_open: (3,), see `open_eyes`.
        clean_features: (M,8), of the source's crops that teach.
        gaps: (T,2), how far each target crop is from its nearest view, upper and lower face.
        gallery: (1,128), mean embedding of the crops that teach.
        recogniser: the frozen embedder; None in use, and where `identity` is 0.
    """

    family: ClassVar[str] = "mesh_residual"
    Config: ClassVar[type[SwapperConfig]] = MeshResidualConfig
    paced: ClassVar[bool] = True

    needs: ClassVar[tuple[str, ...]] = (*TEXTURE_COLUMNS, "landmarks_5")

    target_open: Tensor
    shape_offset: Tensor
    source_open: Tensor
    gallery: Tensor
    clean_features: Tensor
    gaps: Tensor

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        self.settings = cast("MeshResidualConfig", config)
        reach_px = self.settings.light_reach * self.size_px
        with torch.device("cpu"):  # tables are made of numbers, wherever the rest is to lie
            self.sheet = UvTexture(self.settings.rim_cm, self.settings.forehead_cm)
            self.scenes = SceneMaker(self.sheet, self.size_px, reach_px, self.settings.holes)
        self.bank = ViewBank(self.sheet, self.size_px, self.settings.blend, by_map=False)
        self.network = ResidualUNet(FINE, HALF, LOW, 3, self.settings.width)
        self.register_buffer("target_open", torch.ones(3))
        self.register_buffer("shape_offset", torch.zeros(468, 3))
        # What teaches is found anew by every training, and lies in no model's file.
        self.register_buffer("source_open", torch.ones(3), persistent=False)
        self.register_buffer("clean_features", torch.zeros(0, 8), persistent=False)
        self.register_buffer("gaps", torch.zeros(0, 2), persistent=False)
        self.register_buffer("gallery", torch.zeros(1, 128), persistent=False)
        self.recogniser: Recogniser | None = None

    def equip(self, analysers: Frozen) -> None:
        """Take the embedder for `identity`; the model's file does not hold it."""
        if self.settings.identity:
            self.recogniser = Recogniser(saved=False)
            self.recogniser.take(analysers.embedder())

    def prepare(self, source: Crops, target: Crops) -> None:
        """Choose the views among the source's crops; note what teaches, and what use will lack.

        Raises:
            ModelError: the source has no clean crop, or the target no crop at all.
        """
        looked = survey(source)
        clean = looked.clean(self.settings)
        opened = open_eyes(looked.meshes[clean])
        chosen = looked.choose(clean, self.settings.bank)
        mirror = self.settings.mirror
        self.bank.store(gather(source, chosen), looked.meshes[chosen], opened, mirror=mirror)
        targets = [batch["landmarks_468"] for batch in target.batches(256)]
        if not targets:
            raise ModelError(target.identity, "has no crops", "add footage of this identity")
        meshes = torch.cat(targets)
        self.source_open, self.target_open = opened, open_eyes(meshes)
        self.shape_offset = shape_difference(self.bank, meshes, opened, self.target_open)
        self.clean_features = describe(looked.meshes[clean], opened).features
        self.gaps = self.bank.distances(describe(meshes, self.target_open).features).amin(2)
        if self.recogniser is not None:
            found = [self.recogniser.embed(b["crop"], b["landmarks_5"]) for b in source.batches(64)]
            mean = torch.cat(found)[clean].mean(0, keepdim=True)
            self.gallery = functional.normalize(mean)

    def phases(self) -> list[Phase]:
        """One: the network, by Adam, warmed up and brought to rest along a cosine."""
        # Without a budget (a step measured by itself) there is nothing to come to rest for.
        total = self.plan_images
        rate = partial(lessons.pace, total=total) if total else None
        parameters = list(self.network.parameters())
        given = self.settings.learning_rate
        phase = Phase("drawing", parameters, learning_rate=given, betas=(0.9, 0.999), rate=rate)
        return [phase]

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        """The source's crops drawn anew from other views of it, under light by chance.

        `l1`, `gradients` and `dssim` compare with the crop; `crispness` how strong fine detail is;
        `calm` counts changes where the crop shows hair and says nothing of skin.
        """
        device = source["crop"].device
        with torch.no_grad(), exact(device):
            meshes = source["landmarks_468"].float()
            features = describe(meshes, self.source_open).features
            taught, share = lessons.taught(features, self.clean_features)
            scene = self._lesson(source["crop"].float()[taught], meshes[taught])
        change = self._change(scene)
        with exact(device):
            found = lessons.differences(scene, change.float())
        found = {name: value * share for name, value in found.items()}
        return found | self._rehearsal(target)

    def _rehearsal(self, target: Batch) -> dict[str, Tensor]:
        """A quarter of the target's crops swapped as in use: how they lack likeness, and calm.

        `anchor` counts changes of skin, where the guide is the source's own and right; `identity`
        what the cosine to the gallery falls short of `LIKE`: a network that is asked for more
        draws patterns that only the embedder sees.
        """
        count = -(-len(target["crop"]) // IDENTITY_PART)
        names = ("crop", "mask", "landmarks_468", "landmarks_5")
        crops, mask, meshes, points = (target[name][:count].float() for name in names)
        with torch.no_grad(), exact(crops.device):
            scene = self._swap_scene(crops, meshes)
        change = self._change(scene).float()
        with exact(crops.device):
            found = {"anchor": self.settings.anchor * lessons.skin_change(scene, change)}
            if self.recogniser is not None:
                image, masked = self._finished(crops, mask, scene, change)
                shown = crops + masked * (image - crops)
                cosine = (self.recogniser.embed(shown, points) * self.gallery).sum(1)
                found["identity"] = self.settings.identity * (LIKE - cosine).clamp(min=0).mean()
        return found

    def _lesson(self, crops: Tensor, meshes: Tensor) -> Scene:
        """Crops of the source as if another face stood there: other views of it, other light."""
        if not len(self.bank):  # nothing was prepared: only the memory of a step is asked for
            return self.scenes.blank(crops)
        described = describe(meshes, self.source_open)
        distance = self.bank.distances(described.features)
        weights = lessons.others(distance, self.gaps, self.settings.blend)
        lab = other_light(to_oklab(crops), self.settings.light)
        stage = Stage(lab, meshes, meshes, described.pose, weights)
        return self.scenes(self.bank, stage, lesson=True)

    def _change(self, scene: Scene) -> Tensor:
        """What the network adds to the guide, (B,3,W,W) in Oklab."""
        drawn = self.network(*scene.inputs)
        bounds = torch.tensor(BOUNDS, device=drawn.device)
        if self.bank.grey:  # a source without colour teaches none
            bounds = bounds * torch.tensor([1.0, 0.0, 0.0], device=drawn.device)
        return torch.tanh(drawn.float() * SLOPE) * bounds[:, None, None] * scene.covered

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Draw the source on the target's crops; see `Swapper.swap`. `source` is not used.

        Raises:
            ModelError: `prepare` has not run, so that there are no views.
        """
        if not len(self.bank):
            raise ModelError(self.family, "has no views", "run stage `train`, which chooses them")
        columns = [
            torch.split(target[name], TOGETHER) for name in ("crop", "mask", "landmarks_468")
        ]
        with exact(target["crop"].device):
            parts = [self._swap(*(c.float() for c in part)) for part in zip(*columns, strict=True)]
        images, masks = zip(*parts, strict=True)
        return torch.cat(images), torch.cat(masks)

    def _swap(self, crops: Tensor, mask: Tensor, meshes: Tensor) -> tuple[Tensor, Tensor]:
        scene = self._swap_scene(crops, meshes)
        return self._finished(crops, mask, scene, self._change(scene))

    def _swap_scene(self, crops: Tensor, meshes: Tensor) -> Scene:
        """The source's face where the target's is, as in `mesh_transfer`."""
        if not len(self.bank):
            return self.scenes.blank(crops)
        target = describe(meshes, self.target_open)
        weights = self.bank.weights(target.features)
        offset = self.shape_offset * self.sheet.inner[:468, None] * self.settings.shape
        moved = meshes + target.pose.turn(offset.expand_as(meshes))
        stage = Stage(to_oklab(crops), meshes, moved, target.pose, weights)
        return self.scenes(self.bank, stage, lesson=False)

    def _finished(
        self, crops: Tensor, mask: Tensor, scene: Scene, change: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Image (B,3,S,S) and mask (B,1,S,S) of whole crops."""
        drawn = scene.guide + change
        drawn = drawn + self._kept(scene) * (scene.own - drawn)
        here = cut(torch.cat([crops, mask], 1), scene.corner, self.scenes.side)
        image = torch.where(scene.covered > 0, to_rgb(drawn), here[:, :3])
        found = sheet_mask(here[:, 3:], scene.marks[:, :1], scene.face, self.size_px)
        found = found * _frame(mask, here)
        whole = paste(torch.zeros_like(mask), found, scene.corner)
        return paste(crops, image, scene.corner), whole

    def _kept(self, scene: Scene) -> Tensor:
        """Where the target's own pixels stay, (B,1,W,W)."""
        eyes, mouth = scene.marks[:, 4:5], scene.marks[:, 5:6]
        kept = torch.zeros_like(eyes)
        if self.settings.eyes == "target":
            kept = torch.maximum(kept, smoothstep(eyes, 0.5, 1.0))
        if self.settings.mouth == "target":
            kept = torch.maximum(kept, smoothstep(mouth, 0.5, 1.0))
        return kept


def _frame(like: Tensor, window: Tensor) -> Tensor:
    """1 in a window (1,1,W,W), falling to 0 at its edge, for faces that are larger."""
    side = window.shape[-1]
    axis = torch.arange(side, device=like.device)
    edge = (torch.minimum(axis, side - 1 - axis) * (32 / side)).clamp(max=1.0)
    return torch.minimum(edge[:, None], edge)[None, None]
