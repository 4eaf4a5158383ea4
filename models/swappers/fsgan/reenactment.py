"""The way from one face's pose to another's, in steps that a generator can follow.

Nirkin, Keller, Hassner, "FSGAN" (ICCV 2019), section 4.1: the Euler angles of source and target
are interpolated, and the source's 3D landmarks are projected at each angle in between; the last
step takes the target's own landmarks, and with them its expression. Place and size in the crop
are interpolated along.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.layers.face_shape import Pose, fit_pose
from models.layers.feature_network import exact


def _about(angle: Tensor, first: int, second: int) -> Tensor:
    """Rotations (B,3,3) by `angle` (B,) in radians from axis `first` to axis `second`."""
    turned = torch.eye(3, device=angle.device).repeat(len(angle), 1, 1)
    turned[:, first, first] = turned[:, second, second] = torch.cos(angle)
    turned[:, second, first] = torch.sin(angle)
    turned[:, first, second] = -torch.sin(angle)
    return turned


def rotation(angles_deg: Tensor) -> Tensor:
    """Rotations (B,3,3) with yaw, pitch and roll (B,3) in degrees; the inverse of `euler_deg`.

    The head rolls first, then nods, then turns. Signs are those of `Pose.angles_deg`.
    """
    yaw, pitch, roll = torch.deg2rad(angles_deg).unbind(1)
    return _about(yaw, 0, 2) @ _about(pitch, 2, 1) @ _about(roll, 0, 1)


def euler_deg(turned: Tensor) -> Tensor:
    """Yaw, pitch, roll (B,3) in degrees of (B,3,3); yaw and pitch as `Pose.angles_deg`."""
    forward = -turned[:, :, 2]
    yaw = torch.atan2(forward[:, 0], -forward[:, 2])
    pitch = torch.atan2(-forward[:, 1], forward[:, ::2].norm(dim=1))
    none = torch.zeros_like(yaw)
    straight = rotation(torch.rad2deg(torch.stack([yaw, pitch, none], 1)))
    right = (straight.transpose(1, 2) @ turned)[:, :, 0]
    return torch.rad2deg(torch.stack([yaw, pitch, torch.atan2(right[:, 1], right[:, 0])], 1))


def pose_between(first: Pose, second: Pose, share: float) -> Pose:
    """A pose `share` of the way from the first to the second, in angles, log size and place."""
    start, end = euler_deg(first.rotation), euler_deg(second.rotation)
    angles = start + share * (end - start)
    scale = first.scale ** (1 - share) * second.scale**share
    return Pose(rotation(angles), scale, first.shift + share * (second.shift - first.shift))


def stepwise(source: Tensor, target: Tensor, steps: int) -> list[Tensor]:
    """Meshes (B,468,3) that a generator is shown one after the other, the target's last.

    Args:
        source: meshes (B,468,3) in px of the crops.
        target: the same of the faces whose pose and expression are wanted.
        steps: how many, at least 1.
    """
    with exact(source.device):
        source, target = source.float(), target.float()
        first, second = fit_pose(source), fit_pose(target)
        shape = first.unplace(source)
        between = [pose_between(first, second, step / steps) for step in range(1, steps)]
        return [*(pose.place(shape) for pose in between), target]
