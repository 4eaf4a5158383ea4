"""What a network over the mesh sees of a face: guide, light, marks and hints, in one window.

The window follows the face and leaves out the rest of the crop, so that the network's time goes
into the face.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import mesh_topology
from models.layers import random_numbers as draws
from models.layers.face_shape import Pose
from models.layers.gaussian_blur import blur, masked_blur, widen
from models.layers.relight import take_chroma
from models.layers.skin import skin
from models.layers.triangles import rasterise
from models.layers.uv_texture import UvTexture, smoothstep
from models.layers.view_bank import ViewBank, sample
from models.swappers.mesh_residual import shading

WINDOW = 13 / 16
"""Side of the window, share of the crop's: a face with its rim, and a multiple of 4 px."""
MARKS = ("rim", "inner", "features", "lips", "eyes", "mouth")
CHROMA = 4.0
"""Chroma is given to the network times this, to be of the size of lightness."""
HAIR_MARGIN = 1 / 100
FINE, HALF, LOW = 8, 1, 8
"""Channels that `Scene.inputs` has at full, half and quarter size."""


class Stage(NamedTuple):
    """A face to be drawn: whose place is taken, and where.

    Attributes:
        lab: the crop (B,3,S,S) in Oklab.
        meshes: its meshes (B,468,3), px.
        moved: the meshes that are drawn, px.
        pose: of the meshes.
        weights: of the views, (B,2,N).
    """

    lab: Tensor
    meshes: Tensor
    moved: Tensor
    pose: Pose
    weights: Tensor


class Scene(NamedTuple):
    """What is known before the network draws; W is the window's side.

    Attributes:
        corner: int64 (B,2), x and y of the window in the crop.
        guide: (B,3,W,W) in Oklab, views of the source in the target's light.
        own: (B,3,W,W) in Oklab, the target itself in the same place.
        marks: `MARKS` of each pixel, (B,6,W,W); -1 beside the face.
        covered: (B,1,W,W), 1 on the sheet.
        face: (B,1,W,W) in [0,1], what of the target is face and not hair before it.
        inputs: what the network is given, at full, half and quarter size.
    """

    corner: Tensor
    guide: Tensor
    own: Tensor
    marks: Tensor
    covered: Tensor
    face: Tensor
    inputs: tuple[Tensor, Tensor, Tensor]


def scaled(lab: Tensor) -> Tensor:
    """Oklab (B,3,H,W) with all channels of about the same size, around zero."""
    return torch.cat([lab[:, :1] * 2 - 1, lab[:, 1:] * CHROMA], 1)


def cut(pictures: Tensor, corner: Tensor, side: int) -> Tensor:
    """Windows (B,C,W,W) of pictures (B,C,S,S) at `corner` (B,2)."""
    row, rows, columns = _places(corner, side)
    return pictures.permute(0, 2, 3, 1)[row, rows, columns].permute(0, 3, 1, 2)


def paste(pictures: Tensor, windows: Tensor, corner: Tensor) -> Tensor:
    """A copy of pictures (B,C,S,S) with windows (B,C,W,W) in them."""
    whole = pictures.permute(0, 2, 3, 1).clone()
    whole[_places(corner, windows.shape[-1])] = windows.permute(0, 2, 3, 1)
    return whole.permute(0, 3, 1, 2).contiguous()


def _places(corner: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    step = torch.arange(side, device=corner.device)
    row = torch.arange(len(corner), device=corner.device)[:, None, None]
    return row, (corner[:, 1:] + step)[:, :, None], (corner[:, :1] + step)[:, None]


class SceneMaker(nn.Module):
    """Makes scenes of `size_px` crops out of a bank of views.

    Args:
        sheet: the face sheet.
        size_px: side of the crops.
        light_px: size of what counts as light.
        holes: share of lessons in which one side of the face is unknown.
    """

    canonical: Tensor

    def __init__(self, sheet: UvTexture, size_px: int, light_px: float, holes: float) -> None:
        super().__init__()
        self.size_px, self.light_px, self.holes = size_px, light_px, holes
        self.side = math.ceil(size_px * WINDOW / 8) * 8  # masks are pooled by 8
        flat = mesh_topology.canonical_vertices()[:, :2]
        flat = torch.cat([flat, flat[sheet.outline] + sheet.rim_offsets[:, :2]])
        self.register_buffer("canonical", flat / flat.abs().max(), persistent=False)

    def forward(self, bank: ViewBank, stage: Stage, *, lesson: bool) -> Scene:
        """Draw views and target on the mesh, and light the views.

        Args:
            bank: views of the source.
            stage: what to draw.
            lesson: the crop shows the source itself: holes and noise are drawn, and bright places
                may be hair.
        """
        corner = self._corner(stage.moved)
        views, lent, at, marks, place = self._drawn(bank, stage, corner)
        rim, inner, features, lips, eyes, mouth = torch.split(marks, 1, 1)
        covered = (rim >= 0).float()
        own = cut(stage.lab, corner, self.side) if lesson else sample(stage.lab, at)
        texture, known = bank.texture(views, lent)
        light = own[:, :1] if lesson else _capped(own[:, :1], inner)
        small = (halved(light), halved(inner), halved(features))
        face = grown(skin(*small, HAIR_MARGIN)) * covered
        known = known * _hole(known, self.holes) if lesson else known
        known = torch.lerp(_shrunk(known, self.size_px / 256), known, features.clamp(0, 1))
        seen = face * (1 - features.clamp(0, 1))
        found = self._shading(texture, own, seen, known, inner)
        white = torch.maximum(smoothstep(eyes, 0.3, 0.8), smoothstep(mouth, 0.5, 1.0))
        painted = shading.relit(texture, found, white)
        if bank.grey:
            painted = take_chroma(painted, own, seen * known, smoothstep(lips, 0.3, 1.0))
        guide = found.target + known * (painted - found.target)
        guide = own + covered * (guide - own)
        hint = self._hint(own[:, :1], marks[:, 3:].amax(1, keepdim=True), lesson)
        shown = [m.clamp(0, 1) for m in (lips, eyes, mouth, features)]
        fine = torch.cat([scaled(guide), known * covered, *shown], 1)
        low = torch.cat([scaled(found.target), inner, rim, covered, place * covered], 1)
        inputs = (fine, hint, functional.avg_pool2d(low, 4))
        return Scene(corner, guide, own, marks, covered, face, inputs)

    def blank(self, like: Tensor) -> Scene:
        """A scene without content for crops (B,3,S,S): no views, no face."""
        side = self.side

        def empty(channels: int, shrink: int = 1) -> Tensor:
            return like.new_zeros(len(like), channels, side // shrink, side // shrink)

        corner = torch.zeros(len(like), 2, dtype=torch.int64, device=like.device)
        inputs = (empty(FINE), empty(HALF, 2), empty(LOW, 4))
        return Scene(corner, empty(3), empty(3), empty(len(MARKS)), empty(1), empty(1), inputs)

    def _corner(self, meshes: Tensor) -> Tensor:
        """Where the window begins, (B,2): the face in its middle, a little room above it."""
        low, high = meshes[..., :2].amin(1), meshes[..., :2].amax(1)
        room = torch.tensor([0.0, self.size_px / 64], device=meshes.device)
        begin = ((low + high) / 2 - room - self.side / 2).round()
        return begin.clamp(0, self.size_px - self.side).long()

    def _drawn(self, bank: ViewBank, stage: Stage, corner: Tensor) -> tuple[Tensor, ...]:
        """Views (B,K), what they lend, place in the target, marks, place on the canonical face."""
        views = bank.choose(stage.weights)
        upper, lower = stage.weights.gather(2, views[:, None].expand(-1, 2, -1)).unbind(1)
        points = bank.sheet.extend(stage.moved, stage.pose)
        points = points - functional.pad(corner, (0, 1)).to(points)[:, None]
        raster = rasterise(points, bank.sheet.triangles, self.side)
        lent = bank.lend(views, upper, lower)
        at = bank.sheet.extend(stage.meshes, stage.pose)[..., :2]
        tables = torch.cat([bank.sheet.marks(*MARKS), self.canonical], 1)
        values = torch.cat([lent, at, tables.expand(len(at), -1, -1)], 2)
        drawn = raster.picture(raster.interpolate(values), -1.0).permute(0, 3, 1, 2)
        return views, *torch.split(drawn, [lent.shape[2], 2, len(MARKS), 2], 1)

    def _shading(
        self, texture: Tensor, own: Tensor, seen: Tensor, known: Tensor, inner: Tensor
    ) -> shading.Shading:
        """Coarse light of both, found at half size."""
        depth, reach = halved(inner.clamp(0, 1)), self.light_px / 2
        both = (
            grown(shading.coarse(halved(picture), halved(mask), depth, reach))
            for picture, mask in ((texture, seen * known), (own, seen))
        )
        return shading.Shading(*both)

    def _hint(self, light: Tensor, zone: Tensor, lesson: bool) -> Tensor:
        """Standardised lightness of eyes and mouth, (B,1,W/2,W/2): gaze, lids, teeth.

        Mean and deviation around each pixel are taken out, so that it says where things are and
        little of whose they are.
        """
        px = self.size_px / 256
        small, zone = halved(light), halved(zone.clamp(0, 1))
        zone = smoothstep(blur(widen(zone, max(1, round(2 * px))), px), 0.1, 0.6)
        centred = (small - masked_blur(small, zone, 7 * px)) * zone
        deviation = (masked_blur(centred.square(), zone, 7 * px).clamp(min=0) + 1e-6).sqrt()
        hint = blur(centred / (deviation + 0.03), 0.8 * px)
        if lesson:
            gain, shift = (
                draws.uniform(0.7, 1.4, len(hint), 1, 1, 1),
                draws.randn(len(hint), 1, 1, 1),
            )
            hint = hint * gain.to(hint) + 0.1 * shift.to(hint)
        return hint * zone


def _capped(light: Tensor, inner: Tensor) -> Tensor:
    """Lightness without what is brighter than the middle of the face: that is light, not hair."""
    core = smoothstep(inner, 0.6, 1.0)
    mean = (light * core).sum((2, 3), keepdim=True) / core.sum((2, 3), keepdim=True).clamp(min=1)
    return torch.minimum(light, mean)


def _hole(known: Tensor, share: float) -> Tensor:
    """What of (B,1,W,W) stays known: in a share of the lessons one side of the face is not."""
    count, side = len(known), known.shape[-1]
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    turn = draws.rand(count, 1, 1, 1) * 6.2832
    whole = 2.0 * (draws.rand(count, 1, 1, 1) >= share)
    reach = draws.uniform(0.1, 0.8, count, 1, 1, 1) + whole
    wide = draws.uniform(0.03, 0.3, count, 1, 1, 1)
    along = x * turn.cos() + y * turn.sin()
    return ((reach - along) / wide).clamp(0, 1).to(known.device)


def halved(picture: Tensor) -> Tensor:
    """(B,C,H,W) -> (B,C,H/2,W/2), by mean."""
    return functional.avg_pool2d(picture, 2)


def grown(picture: Tensor) -> Tensor:
    """(B,C,H,W) -> (B,C,2H,2W), bilinear."""
    return functional.interpolate(picture, scale_factor=2.0, mode="bilinear", align_corners=False)


def _shrunk(known: Tensor, px: float) -> Tensor:
    """What is known without its last pixels, beside which hair begins: (B,1,W,W), soft."""
    missing = widen(1 - halved(known), max(1, round(px)))
    return grown(smoothstep(1 - blur(missing, 1.5 * px), 0.1, 0.9))
