"""One face's expression in another one's proportions: meshes of a driver, fitted to a source.

Who is drawn with somebody else's jaw comes out as a mixture of both. What differs between two
people at rest is therefore added to each mesh of the driver: first taken out of its pose
(`face_shape.fit_pose`), then moved by the difference of both resting shapes, then placed again as
`align` would place that face. The resting shapes come from the identities' crops and not from the
clip that is driven by, so that a frame depends on no other one.

Lids and inner lips move by the same difference above and below: an eye that the driver shuts is
shut, and lips that touch go on touching. How far open eyes are open is told in the driver's own
measure (`face_shape.open_eyes`) and drawn in the source's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.batch import Crops
from models.layers.face_shape import expressions, fit_pose, open_eyes
from models.layers.feature_network import exact
from models.layers.mesh_topology import POINTS, mirrored
from models.layers.similarity_transform import fit_similarity, inverse, multiply

# Vertices that meet when an eye or the mouth closes, upper and lower; the corners stay apart.
LIDS = (
    ((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)),
    ((466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382)),
)
LIPS = ((191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324))
EYES = (
    (33, 133, *LIDS[0][0], *LIDS[0][1]),
    (263, 362, *LIDS[1][0], *LIDS[1][1]),
)
NOSE_TIP, MOUTH_CORNERS = 4, (61, 291)
RATIO = (0.6, 1.6)
"""How much wider or narrower eyes are drawn at most."""


class Rest(NamedTuple):
    """An identity at rest.

    Attributes:
        shape: (468,3) in cm, symmetrical, facing the camera.
        eyes: (2,) how far its eyes are open, cm.
        five: (5,2) where its five points are in its crops on average, in sides of the crop.
    """

    shape: Tensor
    eyes: Tensor
    five: Tensor


def five_points(meshes: Tensor) -> Tensor:
    """Eyes, nose and mouth corners (B,5,2) as `align` takes them, of meshes (B,468,2 or 3)."""
    flat = meshes[..., :2]
    eyes = [flat[:, list(outline)].mean(1) for outline in EYES]
    return torch.stack([*eyes, *flat[:, [NOSE_TIP, *MOUTH_CORNERS]].unbind(1)], 1)


def _symmetrical(shape: Tensor) -> Tensor:
    """What differs between a face's halves is mostly error of the mesh."""
    flipped = shape[mirrored()] * torch.tensor([-1.0, 1.0, 1.0])
    return (shape + flipped) / 2


def measure(crops: Crops) -> Rest:
    """How an identity looks at rest: the mean of its more frontal crops with the mouth closed.

    Closed is what is not above their median, so that every identity has such crops.
    """
    meshes = torch.cat([batch["landmarks_468"].float() for batch in crops.batches(256)])
    side = next(crops.batches(1))["crop"].shape[-1]
    pose = fit_pose(meshes)
    shapes, turned = pose.unplace(meshes), pose.angles_deg()[:, :2].abs().amax(1)
    frontal = turned <= turned.median()
    opening = expressions(shapes)[:, 3]
    chosen = frontal & (opening <= opening[frontal].median())
    five = ((five_points(meshes) + 0.5) / side).mean(0)
    return Rest(_symmetrical(shapes[chosen].mean(0)), open_eyes(meshes)[:2], five)


class Likeness(nn.Module):
    """Meshes of the driver in the source's proportions; `compare` fills the buffers.

    Attributes:
        offset: (468,3) source's shape less the driver's, cm.
        eyes: (2,) opening of the source's eyes in that of the driver's.
        five: (2,5,2) of the source and of the driver, see `Rest`; zeros until `compare` has run.
    """

    offset: Tensor
    eyes: Tensor
    five: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(POINTS, 3))
        self.register_buffer("eyes", torch.ones(2))
        self.register_buffer("five", torch.zeros(2, 5, 2))

    def compare(self, source: Rest, driver: Rest) -> None:
        """Take what differs between two people at rest."""
        offset = source.shape - driver.shape
        for upper, lower in (*LIDS, LIPS):
            both = torch.tensor([upper, lower])
            offset[both] = offset[both].mean(0, keepdim=True)
        self.offset.copy_(offset)
        self.eyes.copy_((source.eyes / driver.eyes).clamp(*RATIO))
        self.five.copy_(torch.stack([source.five, driver.five]))

    def _opened(self, shapes: Tensor) -> Tensor:
        """Lids of shapes (B,468,3) as far open as the source's would be."""
        shapes = shapes.clone()
        for (upper, lower), ratio in zip(LIDS, self.eyes, strict=True):
            both = torch.stack([shapes[:, list(upper)], shapes[:, list(lower)]])
            middle = both.mean(0)
            shapes[:, list(upper)], shapes[:, list(lower)] = middle + ratio * (both - middle)
        return shapes

    def forward(self, meshes: Tensor, size_px: int) -> Tensor:
        """Fit meshes.

        Args:
            meshes: (B,468,3) in px of the driver's crops of `size_px`.
            size_px: side of the crops.

        Returns:
            (B,468,3) in px of crops of the source.
        """
        if not bool(self.five.any()):
            return meshes
        # Positions have too few digits in half precision, whatever the layers around compute in.
        with exact(meshes.device):
            return self._fitted(meshes.float(), size_px)

    def _fitted(self, meshes: Tensor, size_px: int) -> Tensor:
        pose = fit_pose(meshes)
        moved = pose.place(self._opened(pose.unplace(meshes)) + self.offset)
        # Where `align` would have put this face, less the driver's own place beside the usual one:
        # what a crop is off by, its affine map makes good in the frame.
        usual, own = self.five * size_px - 0.5
        factor, shift = fit_similarity(five_points(moved), usual)
        back, offset = inverse(*fit_similarity(five_points(meshes), own))
        flat = multiply(back, multiply(factor, moved[..., :2]) + shift) + offset
        zoom = multiply(back, factor).norm(dim=-1, keepdim=True)
        return torch.cat([flat, moved[..., 2:] * zoom], 2)
