"""From all crops of an identity to the few that may lend their texture.

A crop is no view when its embedding is far from the identity's, its mesh fits badly, it is
blurred, or part of it does not look like this face: a hand across it, most often.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from likeness.contracts.errors import ModelError
from models.batch import Crops
from models.layers import mesh_topology
from models.layers.face_shape import describe, open_eyes
from models.layers.gaussian_blur import masked_blur
from models.layers.triangles import rasterise

IMAGES = 64
"""Crops looked at together."""
LUMA = (0.299, 0.587, 0.114)
UNWRAPPED_PX = 64


def unwrap(crops: Tensor, meshes: Tensor) -> tuple[Tensor, Tensor]:
    """Draw crops as if each face looked straight ahead with the canonical shape.

    Args:
        crops: (B,C,S,S).
        meshes: (B,468,3) in crop px.

    Returns:
        Pictures (B,C,64,64) and where the mesh covers them (1,1,64,64).
    """
    canonical = mesh_topology.canonical_vertices()
    low, high = canonical[:, :2].amin(0), canonical[:, :2].amax(0)
    spread = (UNWRAPPED_PX - 3) / (high - low).max()
    flat = (canonical[:, :2] - (low + high) / 2) * spread + (UNWRAPPED_PX - 1) / 2
    drawn = torch.cat([flat, canonical[:, 2:]], 1)[None]
    raster = rasterise(drawn, mesh_topology.triangles(), UNWRAPPED_PX)
    place = raster.interpolate(meshes[..., :2].transpose(0, 1).reshape(1, len(drawn[0]), -1))
    grid = (raster.picture(place, -1e4)[0] + 0.5) / crops.shape[-1] * 2 - 1
    grid = grid.reshape(UNWRAPPED_PX, UNWRAPPED_PX, len(crops), 2).permute(2, 0, 1, 3)
    cover = raster.picture(torch.ones(len(raster.pixel), 1))[..., 0][:, None]
    return functional.grid_sample(crops, grid, align_corners=False), cover


def foreign_share(luma: Tensor, cover: Tensor, trusted: Tensor) -> Tensor:
    """Share of each face whose local pattern differs from the identity's usual one.

    A hand, a microphone or a badly fitted mesh differs; an expression hardly does. Light is
    taken out first (local mean and deviation), so that only the pattern counts.

    Args:
        luma: (B,1,64,64) as `unwrap` returns it.
        cover: (1,1,64,64).
        trusted: bool (B,), the faces whose median is taken as usual.

    Returns:
        (B,) in [0,1].
    """
    coarse, fine = UNWRAPPED_PX / 8, UNWRAPPED_PX / 16
    detail = (luma - masked_blur(luma, cover, coarse)) * cover
    deviation = masked_blur(detail.square(), cover, coarse).sqrt().clamp(min=0.02)
    detail = detail / deviation
    usual = detail[trusted].median(0).values[None]
    energy = masked_blur(detail.square(), cover, fine) * masked_blur(usual.square(), cover, fine)
    agreement = masked_blur(detail * usual, cover, fine) / energy.sqrt().clamp(min=1e-3)
    return ((agreement < 0.3) * cover).sum((1, 2, 3)) / cover.sum()


def thin(features: Tensor, quality: Tensor, count: int) -> Tensor:
    """At most `count` views that cover the features evenly, the best of each neighbourhood.

    Farthest-point sampling from the best view, then the best view of each cell.

    Args:
        features: (N,F), to one scale.
        quality: (N,), higher is better.

    Returns:
        Indices, ascending.
    """
    centres = [int(quality.argmax())]
    distance = torch.cdist(features, features[centres])[:, 0]
    while len(centres) < min(count, len(features)) and float(distance.max()) > 0:
        centres.append(int(distance.argmax()))
        distance = torch.minimum(distance, torch.cdist(features, features[centres[-1:]])[:, 0])
    cell = torch.cdist(features, features[centres]).argmin(1)
    best = [int(torch.where(cell == c, quality, -torch.inf).argmax()) for c in range(len(centres))]
    return torch.tensor(sorted(set(best)))


class Limits(Protocol):
    """What a crop must reach to be a view."""

    @property
    def min_similarity(self) -> float:
        """Least cosine to the identity's gallery."""

    @property
    def max_mesh_error(self) -> float:
        """Most distance between mesh and landmarks, in eye distances."""

    @property
    def min_sharpness(self) -> float:
        """Least sharpness, relative to the median of all crops."""

    @property
    def max_foreign(self) -> float:
        """Most of the face that may look unlike the identity's usual face."""


class Survey(NamedTuple):
    """What is known of each of N crops, without their pixels.

    Attributes:
        identity: whose they are.
        meshes: (N,468,3) in crop px.
        similarity: (N,).
        mesh_error: (N,).
        sharpness: (N,).
        foreign: (N,), see `foreign_share`.
    """

    identity: str
    meshes: Tensor
    similarity: Tensor
    mesh_error: Tensor
    sharpness: Tensor
    foreign: Tensor

    def clean(self, limits: Limits) -> Tensor:
        """Indices of the crops that may be views.

        Raises:
            ModelError: there are none, with what kept most crops out.
        """
        good = {
            "min_similarity": self.similarity >= limits.min_similarity,
            "max_mesh_error": self.mesh_error <= limits.max_mesh_error,
            "min_sharpness": self.sharpness >= limits.min_sharpness * self.sharpness.median(),
            "max_foreign": self.foreign <= limits.max_foreign,
        }
        kept = torch.stack(list(good.values())).all(0).nonzero()[:, 0]
        if not len(kept):
            worst = min(good, key=lambda name: int(good[name].sum()))
            problem = f"none of its {len(self.meshes)} crops is clean enough to be a view"
            step = f"add footage with the face in full view, or loosen `{worst}`, the strictest"
            raise ModelError(self.identity, problem, step)
        return kept

    def choose(self, clean: Tensor, count: int) -> Tensor:
        """At most `count` of the clean crops that cover poses and expressions, ascending."""
        meshes = self.meshes[clean]
        crisp = (self.sharpness[clean] / self.sharpness.median()).clamp(max=1.5)
        quality = self.similarity[clean] + 0.1 * crisp
        return clean[thin(describe(meshes, open_eyes(meshes)).features, quality, count)]


def survey(crops: Crops) -> Survey:
    """Look at all crops of an identity once.

    Raises:
        ModelError: it has none.
    """
    names = ("landmarks_468", "similarity", "mesh_error", "sharpness")
    columns: dict[str, list[Tensor]] = {name: [] for name in names}
    faces: list[Tensor] = []
    cover = torch.zeros(0)
    for batch in crops.batches(IMAGES):
        for name, values in columns.items():
            values.append(batch[name])
        light = (batch["crop"] * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
        face, cover = unwrap(light, batch["landmarks_468"])
        faces.append(face)
    if not faces:
        raise ModelError(crops.identity, "has no crops", "add footage of this identity")
    meshes, similarity, mesh_error, sharpness = (torch.cat(columns[name]) for name in names)
    foreign = foreign_share(torch.cat(faces), cover, similarity >= similarity.median())
    return Survey(crops.identity, meshes, similarity, mesh_error, sharpness, foreign)


def gather(crops: Crops, chosen: Tensor) -> Tensor:
    """Pixels of some crops, by ascending index: (N,3,S,S) in [-1,1]."""
    found, seen = [], 0
    for batch in crops.batches(IMAGES):
        here = chosen[(chosen >= seen) & (chosen < seen + len(batch["crop"]))] - seen
        found.append(batch["crop"][here])
        seen += len(batch["crop"])
    return torch.cat(found)
