"""Head pose, neutral frame and expression of 468-point meshes, all in torch.

The mesh network gives x, y and z to one scale, so that a similarity fit to the canonical face
separates the head's pose from the face's shape (Umeyama 1991). Shapes are in the canonical
face's centimetres and axes, whatever the pose.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from models.layers.feature_network import exact
from models.layers.mesh_topology import canonical_vertices, mirrored

LOWER_FACE_CM = 1.0
"""Below this height (y, canonical) the jaw and the lips move; the pose rests on what is above."""


class Pose(NamedTuple):
    """Similarity from the canonical frame to the crop: p = scale * rotation @ x + shift.

    Attributes:
        rotation: (B,3,3).
        scale: (B,), px per cm.
        shift: (B,3), px.
    """

    rotation: Tensor
    scale: Tensor
    shift: Tensor

    def place(self, shape: Tensor) -> Tensor:
        """Shapes (B,V,3) in cm -> crop px."""
        return self.turn(shape) + self.shift[:, None]

    def turn(self, offsets: Tensor) -> Tensor:
        """Offsets (B,V,3) in cm -> px, without the shift."""
        return self.scale[:, None, None] * offsets @ self.rotation.transpose(1, 2)

    def unplace(self, meshes: Tensor) -> Tensor:
        """Meshes (B,V,3) in crop px -> shapes in cm, facing the camera."""
        return (meshes - self.shift[:, None]) @ self.rotation / self.scale[:, None, None]

    def angles_deg(self) -> Tensor:
        """Yaw, pitch, roll (B,3): turned to the image's right, up, clockwise are positive."""
        forward, right = -self.rotation[:, :, 2], self.rotation[:, :, 0]
        yaw = torch.atan2(forward[:, 0], -forward[:, 2])
        pitch = torch.atan2(-forward[:, 1], forward[:, ::2].norm(dim=1))
        roll = torch.atan2(right[:, 1], right[:, 0])
        return torch.rad2deg(torch.stack([yaw, pitch, roll], 1))


@cache
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _canonical(dtype: torch.dtype, device: torch.device) -> Tensor:
    return canonical_vertices().to(device, dtype)


def fit_pose(meshes: Tensor) -> Pose:
    """Least-squares similarity of the canonical face to each mesh (B,468,3), in crop px.

    Points of the moving lower face count a tenth.
    """
    model = _canonical(meshes.dtype, meshes.device)
    weights = torch.where(model[:, 1] < LOWER_FACE_CM, 1.0, 0.1)
    weights = (weights / weights.sum())[:, None]
    # Umeyama 1991 with weights: both centred, the rotation out of the SVD of their covariance,
    # R = U S V' with S against reflection, the scale trace(D S) over the model's variance.
    model_mean = (weights * model).sum(0)
    mesh_mean = (weights * meshes).sum(1)
    model, meshes = model - model_mean, meshes - mesh_mean[:, None]
    with exact(meshes.device):
        left, strength, right = torch.linalg.svd(meshes.transpose(1, 2) @ (weights * model))
        sign = torch.linalg.det(left @ right).sign()
        flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], 1)
        rotation = (left * flip[:, None]) @ right
    spread = (weights * model.square()).sum()
    scale = ((strength * flip).sum(1) / spread).clamp(min=1e-6)
    shift = mesh_mean - scale[:, None] * (rotation @ model_mean)
    return Pose(rotation, scale, shift)


def facing(meshes: Tensor, triangles: Tensor) -> Tensor:
    """How far each vertex faces the camera: (B,V), 1 = head on, 0 = edge on, below = from behind.

    The mean of the normals of the triangles around it, by area.
    """
    corners = meshes[:, triangles]
    normals = torch.linalg.cross(
        corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    )
    total = torch.zeros_like(meshes)
    for corner in triangles.unbind(1):
        total.index_add_(1, corner, normals)
    return -total[..., 2] / total.norm(dim=-1).clamp(min=1e-6)


def _between(shapes: Tensor, first: int, second: int) -> Tensor:
    return (shapes[:, first] - shapes[:, second]).norm(dim=-1)


def expressions(shapes: Tensor) -> Tensor:
    """Expression of shapes (B,468,3): (B,6) in cm.

    Image-left and image-right eye opening, brow height, mouth opening, mouth width, and how far
    the mouth's corners stand above its middle.
    """
    brows = (shapes[:, [105, 334], 1] - shapes[:, [33, 263], 1]).mean(1)
    lift = shapes[:, [0, 17], 1].mean(1) - shapes[:, [61, 291], 1].mean(1)
    return torch.stack(
        [
            _between(shapes, 159, 145),
            _between(shapes, 386, 374),
            -brows,
            _between(shapes, 13, 14),
            _between(shapes, 61, 291),
            lift,
        ],
        1,
    )


POSE_STEPS_DEG = (8.0, 8.0)
EYE_STEPS = (0.12, 0.12, 0.1)
MOUTH_STEPS_CM = (0.3, 0.4, 0.2)
"""What counts as a difference of 1: yaw and pitch; both eyes and brow height, relative to the
identity's own; mouth opening, width and lift."""


class Described(NamedTuple):
    """Pose, shape (B,468,3) in cm and features (B,8) of some meshes.

    The features are yaw, pitch; opening of the image-left and image-right eye, brow height;
    mouth opening, width, lift: all to one scale, in which 1 is a difference worth seeing.
    """

    pose: Pose
    shape: Tensor
    features: Tensor


def open_eyes(meshes: Tensor) -> Tensor:
    """How far an identity's eyes are open at rest and how high its brows are, (3,) in cm.

    Narrow eyes that are open are so told from wide ones that begin to close. The upper quartile
    of all crops stands for open eyes, the median for the brows.
    """
    found = expressions(fit_pose(meshes).unplace(meshes))[:, :3]
    upper = torch.quantile(found, 0.75, dim=0)
    return torch.cat([upper[:2], found[:, 2].median()[None]]).clamp(min=0.1)


def describe(meshes: Tensor, opened: Tensor) -> Described:
    """Describe meshes (B,468,3) of an identity whose eyes at rest are `opened`."""
    pose = fit_pose(meshes)
    shape = pose.unplace(meshes)
    found = expressions(shape)
    angles = pose.angles_deg()[:, :2] / torch.tensor(POSE_STEPS_DEG).to(meshes)
    eyes = found[:, :3] / opened / torch.tensor(EYE_STEPS).to(meshes)
    mouth = found[:, 3:] / torch.tensor(MOUTH_STEPS_CM).to(meshes)
    return Described(pose, shape, torch.cat([angles, eyes, mouth], 1))


def flip(meshes: Tensor, size_px: int) -> Tensor:
    """Meshes (B,468,3) of the crops' mirror images."""
    turned = meshes[:, mirrored()] * torch.tensor([-1.0, 1.0, 1.0])
    return turned + torch.tensor([size_px - 1.0, 0.0, 0.0])
