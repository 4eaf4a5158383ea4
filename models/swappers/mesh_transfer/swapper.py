"""Triangles of the face mesh carried from views of the source: no training, sharp, stiff.

The method from before learning: the triangles of the 468-point mesh are carried from pictures of
the source to the target's crop by affine maps. Views are chosen by head pose and expression, for
the upper and the lower face apart, among clean crops alone; several are blended with weights
that change smoothly, so that nothing jumps (`views: nearest`), or three by FSGAN's appearance
map. The target gives light, colour, gaze and the inside of the mouth; the source gives detail
and, by `shape`, the proportions of the inner face. See docs/model_cards/mesh_transfer.md.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from likeness.contracts.errors import ModelError
from models.batch import Batch, Crops
from models.layers import relight
from models.layers.face_shape import describe, open_eyes
from models.layers.feature_network import exact
from models.layers.mesh_fit import TEXTURE_COLUMNS, shape_difference, sheet_mask
from models.layers.oklab import to_oklab, to_rgb
from models.layers.skin import skin
from models.layers.triangles import rasterise
from models.layers.uv_texture import UvTexture, smoothstep
from models.layers.view_bank import ViewBank, sample
from models.layers.view_survey import gather, survey
from models.swappers.abilities import Prepares
from models.swappers.base import Swapper, SwapperConfig
from models.swappers.mesh_transfer.config import MeshTransferConfig

MARKS = ("rim", "inner", "features", "lips", "eyes", "mouth")
"""Tables of the face sheet that are needed pixel by pixel."""
HAIR_MARGIN = 1 / 100
"""As in `view_bank`, for the target: what stands before its face stays there."""
TOGETHER = 8
"""Crops swapped at a time, so that what is worked on stays near the processor."""


class Placement(NamedTuple):
    """What lies where in the target's crops.

    Attributes:
        views: the views that each crop takes, (B,K).
        lent: (B,3K,S,S), place in each view (x, y in px) and its weight.
        own: (B,2,S,S), place in the target itself.
        marks: `MARKS` of each pixel, (B,len(MARKS),S,S); -1 beside the face.
    """

    views: Tensor
    lent: Tensor
    own: Tensor
    marks: Tensor


class MeshTransfer(Swapper, Prepares):
    """Views of the source, carried to each target crop by affine maps of triangles.

    Attributes:
        bank: the views, in buffers.
        target_open: (3,), the target's open eyes and brow height in cm, see `open_eyes`.
        shape_offset: (468,3), source's shape minus target's at like expression, in cm.
    """

    family: ClassVar[str] = "mesh_transfer"
    Config: ClassVar[type[SwapperConfig]] = MeshTransferConfig
    needs: ClassVar[tuple[str, ...]] = TEXTURE_COLUMNS

    target_open: Tensor
    shape_offset: Tensor

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        self.settings = cast("MeshTransferConfig", config)
        self.sheet = UvTexture(self.settings.rim_cm, self.settings.forehead_cm)
        by_map = self.settings.views == "appearance_map"
        self.bank = ViewBank(self.sheet, self.settings.size_px, self.settings.blend, by_map=by_map)
        self.register_buffer("target_open", torch.ones(3))
        self.register_buffer("shape_offset", torch.zeros(468, 3))

    def prepare(self, source: Crops, target: Crops) -> None:
        """Choose the views among the source's crops; compare its shape with the target's.

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
        self.target_open = open_eyes(meshes)
        self.shape_offset = shape_difference(self.bank, meshes, opened, self.target_open)

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Carry the views to the target's crops; see `Swapper.swap`. `source` is not used.

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
        return self._paint(crops, mask, self._place(meshes))

    def _place(self, meshes: Tensor) -> Placement:
        """Where the source's face stands in each target crop, and what it takes from where."""
        # 1. Which views of the source lend: those nearest in pose and expression.
        target = describe(meshes, self.target_open)
        weights = self.bank.weights(target.features)
        views = self.bank.choose(weights)
        upper, lower = weights.gather(2, views[:, None].expand(-1, 2, -1)).unbind(1)
        # 2. The target's mesh with a share of the source's shape, and the forehead above it.
        change = self.shape_offset * self.sheet.inner[:468, None] * self.settings.shape
        moved = meshes + target.pose.turn(change.expand_as(meshes))
        points = self.sheet.extend(moved, target.pose)
        raster = rasterise(points, self.sheet.triangles, self.size_px)
        # 3. Carried over every px by its triangle: places in the views, in the crop itself, marks.
        lent = self.bank.lend(views, upper, lower)
        own = self.sheet.extend(meshes, target.pose)[..., :2]
        marks = self.sheet.marks(*MARKS).expand(len(meshes), -1, -1)
        values = raster.interpolate(torch.cat([lent, own, marks], 2))
        drawn = raster.picture(values, -1.0).permute(0, 3, 1, 2)
        return Placement(views, *torch.split(drawn, [lent.shape[2], 2, len(MARKS)], 1))

    def _paint(self, crops: Tensor, mask: Tensor, place: Placement) -> tuple[Tensor, Tensor]:
        """The source's texture in the target's light, and what stays the target's own."""
        rim, inner, features, lips, eyes, mouth = torch.split(place.marks, 1, 1)
        covered = (rim >= 0).float()
        own = to_oklab(sample(crops, place.own))
        texture, known = self.bank.texture(place.views, place.lent)
        face = skin(own[:, :1], inner, features, HAIR_MARGIN)
        kept = smoothstep(mouth, 0.5, 1.0)
        if self.settings.eyes == "target":
            kept = torch.maximum(kept, smoothstep(eyes, 0.5, 1.0))
        # Brows and lips are no light: where the two faces have them differs.
        shared = known * face * covered * (1 - features.clamp(0, 1))
        reach_px = self.settings.light_reach * self.size_px
        light = relight.coarse(texture, own, shared, inner.clamp(0, 1), reach_px)
        painted = texture + self.settings.light * (relight.relight(texture, light) - texture)
        if self.bank.grey:
            painted = relight.take_chroma(painted, own, shared, smoothstep(lips, 0.3, 1.0))
        painted = own + known * (1 - kept) * (painted - own)
        image = torch.where(covered > 0, to_rgb(painted), crops)
        return image, sheet_mask(mask, rim, face * covered, self.size_px)
