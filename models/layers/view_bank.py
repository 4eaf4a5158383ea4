"""Views of a face: pictures and meshes, chosen by pose and expression, blended as texture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.batch import as_pixels
from models.layers import appearance_map, relight
from models.layers.face_shape import POSE_STEPS_DEG, describe, facing, flip
from models.layers.gaussian_blur import masked_blur
from models.layers.oklab import to_oklab, to_rgb
from models.layers.skin import skin
from models.layers.triangles import rasterise
from models.layers.uv_texture import UvTexture, smoothstep

UPPER, LOWER = (0, 1, 2, 3, 4), (0, 1, 5, 6, 7)
"""Features that choose the views of the upper face (pose, eyes, brows) and of the lower one."""
MIRROR_COST = 1.5
"""A mirrored view counts as this much farther: no face is quite symmetrical."""
MAP_RADIUS_DEG = 2.0
"""Poses nearer than this share a node of the appearance map (FSGAN's default)."""
GREY = 0.009
"""Below this spread of chroma (Oklab) beside what lightness explains, a face has no colour."""
OPACITY = (0.05, 0.6)
"""Share of the wanted views that must show a place for their texture to be used, and alone."""
HAIR_MARGIN = 1 / 64
"""Skin this near to hair is not used, share of the side: strands and shadows go with the hair."""
DONORS = 2
"""Views that fill in what hair covers in another one: its mirror image and so many of each kind."""
FILL_REACH = 0.1
"""Size of what counts as light when a view is completed, share of the side."""
FADE = 1 / 50
"""How far skin goes on where a view ends, share of the side."""
TOGETHER = 8
"""Views completed at a time."""


def sample(pictures: Tensor, at: Tensor) -> Tensor:
    """Pictures (B,C,S,S) at places (B,2,H,W), x and y in px, bilinear; the edge goes on."""
    grid = (at.permute(0, 2, 3, 1) + 0.5) * (2 / pictures.shape[-1]) - 1
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def nearest_weights(distance: Tensor, count: int) -> Tensor:
    """Weights of the `count` nearest views that reach zero before a view leaves their number.

    The next nearest view sets the radius, so that the weights change smoothly as the target
    moves, and the picture with them.

    Args:
        distance: (..., N) from each target to each view.
        count: views at most.

    Returns:
        (..., N), sum 1, at most `count` above zero.
    """
    near, order = distance.topk(min(count + 1, distance.shape[-1]), dim=-1, largest=False)
    # Where all views take part, a radius that none of them reaches.
    radius = near[..., -1:] if near.shape[-1] > count else near[..., -1:] * 1.5
    near, order = near[..., :count], order[..., :count]
    weights = (1 - near / (radius + 1e-6)).clamp(min=0).square() + 1e-9
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.zeros_like(distance).scatter(-1, order, weights)


class ViewBank(nn.Module):
    """N views of one face, and N more that are their mirror images.

    Attributes:
        pixels: uint8 (N,S,S,4), RGB and how far each pixel shows the face.
        points: (N,V,3), the face sheet of each view, px.
        seen: (N,V) in [0,1], how far each vertex faces the camera.
        features: (N or 2N,8), see `describe`; mirrored views follow.
        grey: bool, whether the pictures have no colour of their own.
        map_nodes, map_triangles: the appearance map, empty where it is not used.
    """

    pixels: Tensor
    points: Tensor
    seen: Tensor
    features: Tensor
    grey: Tensor
    map_nodes: Tensor
    map_triangles: Tensor

    def __init__(self, sheet: UvTexture, size_px: int, blend: int, by_map: bool) -> None:
        """An empty bank; `blend` views are mixed per half of the face, or three `by_map`."""
        super().__init__()
        self.sheet, self.size_px, self.blend, self.by_map = sheet, size_px, blend, by_map
        vertices = len(sheet.rim)
        empty = {
            "pixels": torch.zeros(0, size_px, size_px, 4, dtype=torch.uint8),
            "points": torch.zeros(0, vertices, 3),
            "seen": torch.zeros(0, vertices),
            "features": torch.zeros(0, 8),
            "grey": torch.zeros((), dtype=torch.bool),
            "map_nodes": torch.zeros(0, dtype=torch.int64),
            "map_triangles": torch.zeros(0, 3, dtype=torch.int64),
        }
        for name, value in empty.items():
            self.register_buffer(name, value)

    def __len__(self) -> int:
        """Number of views, mirror images not counted."""
        return len(self.pixels)

    def store(self, crops: Tensor, meshes: Tensor, opened: Tensor, mirror: bool) -> None:
        """Fill the bank: crops (N,3,S,S) in [-1,1], meshes (N,468,3), `opened` of `open_eyes`."""
        described = describe(meshes, opened)
        features = [described.features]
        if mirror:
            features.append(describe(flip(meshes, self.size_px), opened).features)
        self.features = torch.cat(features)
        self.points = self.sheet.extend(meshes, described.pose)
        self.seen = smoothstep(facing(self.points, self.sheet.triangles), 0.05, 0.4)
        raster = rasterise(self.points, self.sheet.triangles, self.size_px)
        marks = self.sheet.marks("inner", "features").expand(len(meshes), -1, -1)
        drawn = raster.picture(raster.interpolate(marks), -1.0).permute(0, 3, 1, 2)
        lab = to_oklab(crops)
        face = skin(lab[:, :1], drawn[:, :1], drawn[:, 1:], HAIR_MARGIN)
        spread = relight.colourfulness(
            functional.avg_pool2d(lab, 4), functional.avg_pool2d(face, 4) > 0.99
        )
        self.grey = spread < GREY
        self._keep(crops, face)
        if self.by_map:
            angles = self.features[:, :2] * torch.tensor(POSE_STEPS_DEG)
            self.map_nodes = appearance_map.merge(angles, MAP_RADIUS_DEG)
            self.map_triangles = appearance_map.delaunay(
                appearance_map.with_corners(angles[self.map_nodes])
            )
        if len(self.features) > 1:
            self._complete()

    def _keep(self, crops: Tensor, face: Tensor) -> None:
        alpha = (face * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        self.pixels = torch.cat([as_pixels(crops), alpha], 3)

    def shapes(self, opened: Tensor) -> Tensor:
        """Shapes of all views and their mirror images in cm, (N or 2N,468,3)."""
        shapes = describe(self.points[:, :468], opened).shape
        if len(self.features) == len(self):
            return shapes
        turned = shapes[:, self.sheet.mirror[:468]] * torch.tensor([-1.0, 1.0, 1.0])
        return torch.cat([shapes, turned])

    def distances(self, features: Tensor) -> Tensor:
        """From each target (B,8) to each view, for the upper and the lower face: (B,2,N or 2N)."""
        mirrored = torch.arange(len(self.features), device=features.device) >= len(self)
        apart = [
            torch.cdist(features[:, columns], self.features[:, columns])
            for columns in (UPPER, LOWER)
        ]
        return (torch.stack(apart, 1).square() + MIRROR_COST * mirrored).sqrt()

    def weights(self, features: Tensor) -> Tensor:
        """How much each view lends to the upper and the lower face of each target (B,8).

        Returns:
            (B,2,N or 2N), sum 1 over the views.
        """
        distance = self.distances(features)
        if not self.by_map:
            return nearest_weights(distance, self.blend)
        steps = torch.tensor(POSE_STEPS_DEG).to(features)
        angles, poses = self.features[:, :2] * steps, features[:, :2] * steps
        nodes = angles[self.map_nodes]
        shares = appearance_map.barycentric(
            appearance_map.with_corners(nodes), self.map_triangles, poses
        )
        member = functional.one_hot(torch.cdist(angles, nodes).argmin(1), len(nodes)).bool().T
        best = torch.where(member, distance[:, :, None], torch.inf).argmin(3)
        spread = shares[:, None].expand_as(best)
        return torch.zeros_like(distance).scatter_add_(2, best, spread)

    def choose(self, weights: Tensor) -> Tensor:
        """Index of the views that `weights` (B,2,N) can need, (B,K)."""
        count = 2 * (3 if self.by_map else self.blend)
        return weights.amax(1).topk(min(count, weights.shape[2]), dim=1).indices

    def lend(self, views: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
        """Where each vertex lies in the views (B,K), and what they lend there.

        Args:
            views: (B,K).
            upper: weight of each view in the upper face, (B,K).
            lower: weight in the lower face, (B,K).

        Returns:
            (B,V,3K): x, y and weight of each view.
        """
        share, count = self.sheet.lower, len(self)
        lent = []
        for view, above, below in zip(*(v.unbind(1) for v in (views, upper, lower)), strict=True):
            points, seen = self.points[view % count, :, :2], self.seen[view % count]
            turned = (view >= count)[:, None]
            points = torch.where(turned[..., None], points[:, self.sheet.mirror], points)
            seen = torch.where(turned, seen[:, self.sheet.mirror], seen)
            weight = (above[:, None] * (1 - share) + below[:, None] * share) * seen
            lent.append(torch.cat([points, weight[..., None]], 2))
        return torch.cat(lent, 2)

    def texture(self, views: Tensor, lent: Tensor) -> tuple[Tensor, Tensor]:
        """Blend views (B,K) by what they lend to each pixel, (B,3K,S,S).

        Returns:
            Oklab (B,3,S,S), and how far it is known (B,1,S,S).
        """
        total = lent.new_zeros(len(lent), 4, *lent.shape[2:])
        for view, part in zip(views.unbind(1), torch.split(lent, 3, 1), strict=True):
            pixels = self.pixels[view % len(self)].permute(0, 3, 1, 2).float().div_(255)
            found = sample(pixels, part[:, :2])
            weight = part[:, 2:].clamp(min=0) * found[:, 3:]
            total[:, :3] += found[:, :3] * weight
            total[:, 3:] += weight
        colour = total[:, :3] / total[:, 3:].clamp(min=1e-4)
        return to_oklab(colour * 2 - 1), smoothstep(total[:, 3:], *OPACITY)

    def _complete(self) -> None:
        """Fill in what hair covers in a view: from its mirror image, then from like views."""
        parts = [
            self._completed(torch.arange(first, min(first + TOGETHER, len(self))))
            for first in range(0, len(self), TOGETHER)
        ]
        self._keep(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _completed(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (b,3,S,S) and face (b,1,S,S) of some views, completed."""
        # 1. The donors' skin, carried over by the mesh, and how far it is known.
        donors, weight = self._donors(index)
        raster = rasterise(self.points[index], self.sheet.triangles, self.size_px)
        marks = self.sheet.marks("inner").expand(len(index), -1, -1)
        values = torch.cat([self.lend(donors, weight, weight), marks], 2)
        drawn = raster.picture(raster.interpolate(values), -1.0).permute(0, 3, 1, 2)
        fill, known = self.texture(donors, drawn[:, :-1])
        inner = drawn[:, -1:]
        known = known * (inner >= 0)
        # 2. In the light of the view itself, where the view shows no face: own + (1 - face) known
        # (relit - own).
        view = self.pixels[index].permute(0, 3, 1, 2).float() / 255
        own, face = to_oklab(view[:, :3] * 2 - 1), view[:, 3:]
        everywhere = torch.ones_like(inner)
        light = relight.coarse(fill, own, face * known, everywhere, FILL_REACH * self.size_px)
        filled = (1 - face) * known
        whole = own + filled * (relight.relight(fill, light) - own)
        face = face + filled
        # Where the face fades out its skin goes on, so that no dark line of hair stands there.
        skin_around = masked_blur(whole, face.square(), FADE * self.size_px)
        whole = skin_around + smoothstep(face, 0.4, 1.0) * (whole - skin_around)
        return torch.where(inner >= 0, to_rgb(whole), view[:, :3] * 2 - 1), face

    def _donors(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Views that fill in others: (b,K) of both, index and weight; the mirror image first."""
        distance = self.distances(self.features[index]).sum(1)
        distance[torch.arange(len(index)), index] = torch.inf
        count, found, weights = len(self), [], []
        if len(self.features) > count:
            distance[torch.arange(len(index)), index + count] = torch.inf
            found.append((index + count)[:, None])
            weights.append(torch.ones(len(index), 1))
        for first in range(0, len(self.features), count):
            near = distance[:, first : first + count]
            taken = min(DONORS, count - 1)
            found.append(near.topk(taken, dim=1, largest=False).indices + first)
            weights.append(torch.full((len(index), taken), 0.1))
        return torch.cat(found, 1), torch.cat(weights, 1)
