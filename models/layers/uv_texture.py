"""The face mesh as a UV texture: 468 points, and a rim of 36 beyond the face oval.

The rim lets the texture run on over the forehead and fade out beside the cheeks, where the mesh
itself ends with a hard edge.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers import mesh_topology
from models.layers.face_shape import Pose

# fmt: off
EYE_EDGES = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
             263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
MOUTH_EDGE = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178,
              88, 95)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40,
              185)
BROWS = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107, 276, 282, 283, 285, 293, 295, 296, 300, 334,
         336)
# fmt: on
"""Vertices around the eyeballs, around the inside of the mouth, around the lips, on the brows."""


def smoothstep(values: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    share = ((values - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)


class UvTexture(nn.Module):
    """Topology of the texture and what belongs to its V = 504 vertices, whatever the face.

    Attributes:
        triangles: int64 (T,3).
        mirror: int64 (V,), the vertex on the other side of the face.
        rim: (V,), 1 on the rim, 0 on the mesh.
        inner: (V,), 0 on the face oval and beyond, 1 from `INNER_CM` inside it.
        lower: (V,), 0 from the nose bridge up, 1 from the mouth down.
        features: (V,), 1 on brows, lids and lips.
        lips: (V,), 1 on the lips and between them.
        eyes: (V,), 1 around the eyeballs.
        mouth: (V,), 1 around the inside of the mouth.
    """

    INNER_CM = 3.0

    triangles: Tensor
    mirror: Tensor
    rim: Tensor
    inner: Tensor
    lower: Tensor
    features: Tensor
    lips: Tensor
    eyes: Tensor
    mouth: Tensor
    outline: Tensor
    rim_offsets: Tensor

    def __init__(self, rim_cm: float, forehead_cm: float) -> None:
        """Build the sheet; its rim is `rim_cm` wide, and `forehead_cm` over the forehead."""
        super().__init__()
        mesh, outline = mesh_topology.canonical_vertices(), mesh_topology.outline()
        count = len(outline)
        beyond = _rim_offsets(mesh[outline], rim_cm, forehead_cm)
        mirror = mesh_topology.mirrored()
        order = (mirror[outline][:, None] == outline).long().argmax(1)
        height = torch.cat([mesh, mesh[outline]])[:, 1]
        to_oval = torch.cdist(mesh[:, :2], mesh[outline, :2]).amin(1)
        inner = torch.cat([to_oval, torch.zeros(count)])
        lips = _enclosed(MOUTH_EDGE, OUTER_LIPS)
        tables = {
            "triangles": torch.cat([mesh_topology.triangles(), _rim_triangles(outline)]),
            "mirror": torch.cat([mirror, mesh_topology.POINTS + order]),
            "rim": torch.cat([torch.zeros(len(mesh)), torch.ones(count)]),
            "inner": smoothstep(inner, 0.0, self.INNER_CM),
            "lower": smoothstep(height, 0.3, 2.3),
            "eyes": _marked(EYE_EDGES, len(inner)),
            "mouth": _marked(MOUTH_EDGE, len(inner)),
            "lips": _marked(lips, len(inner)),
            "features": _marked((*EYE_EDGES, *lips, *BROWS), len(inner)),
            "outline": outline,
            "rim_offsets": beyond,
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def marks(self, *names: str) -> Tensor:
        """Some of the per-vertex tables side by side, (V,len(names))."""
        return torch.stack([self.get_buffer(name) for name in names], 1)

    def extend(self, meshes: Tensor, pose: Pose) -> Tensor:
        """Meshes (B,468,3) in px and their pose -> the sheet's vertices (B,V,3)."""
        beyond = pose.turn(self.rim_offsets.expand(len(meshes), -1, -1))
        return torch.cat([meshes, meshes[:, self.outline] + beyond], 1)


def _rim_offsets(oval: Tensor, rim_cm: float, forehead_cm: float) -> Tensor:
    """Way from each point of the oval (36,3) to its rim point, in cm: outwards and a bit back."""
    outwards = oval * torch.tensor([1.0, 1.0, 0.0])
    outwards = outwards / outwards.norm(dim=1, keepdim=True) + torch.tensor([0.0, 0.0, 0.35])
    length = rim_cm + (forehead_cm - rim_cm) * smoothstep(-oval[:, 1], 1.5, 6.5)
    return outwards * length[:, None]


def _rim_triangles(outline: Tensor) -> Tensor:
    """Two triangles per edge of the oval, wound like the mesh's."""
    here = torch.arange(len(outline))
    following = (here + 1) % len(outline)
    start, end = outline, outline[following]
    beyond, beyond_end = mesh_topology.POINTS + here, mesh_topology.POINTS + following
    return torch.cat(
        [torch.stack([start, beyond, end], 1), torch.stack([end, beyond, beyond_end], 1)]
    )


def _marked(indices: tuple[int, ...], count: int) -> Tensor:
    marks = torch.zeros(count)
    marks[list(indices)] = 1.0
    return marks


def _enclosed(start: tuple[int, ...], border: tuple[int, ...]) -> tuple[int, ...]:
    """Vertices of the mesh within a closed border, from some inside it; the border included."""
    found, edge = set(start) | set(border), set(border)
    triangles = [set(corners) for corners in mesh_topology.triangles().tolist()]
    while True:
        more = set().union(*(t for t in triangles if t & (found - edge))) - found
        if not more:
            return tuple(sorted(found))
        found |= more
