"""Head pose in degrees: perspective-n-point on the canonical face."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.mesh import RIGID

Points = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float64]

# Canonical face: x to the image's right, y up, z to the viewer. Camera: y down, z away.
_TO_CAMERA = np.diag([1.0, -1.0, -1.0])


def focal_px(width_px: int, height_px: int) -> float:
    """Assumed focal length: the longer side, a field of view of 53 degrees."""
    return float(max(width_px, height_px))


def rotation_from_pose(pose_deg: Points) -> Matrix:
    """Rotation (3,3), camera axes (x right, y down, z away), of yaw, pitch, roll in degrees.

    The head yaws first, then pitches, then rolls about the line of sight, so that a profile
    (yaw near 90) still has a definite pitch and roll.
    """
    yaw, pitch, roll = np.radians(np.asarray(pose_deg, np.float64))
    about_y = np.array(
        [[np.cos(yaw), 0.0, -np.sin(yaw)], [0.0, 1.0, 0.0], [np.sin(yaw), 0.0, np.cos(yaw)]]
    )
    about_x = np.array(
        [[1.0, 0.0, 0.0], [0.0, np.cos(pitch), np.sin(pitch)], [0.0, -np.sin(pitch), np.cos(pitch)]]
    )
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0.0], [np.sin(roll), np.cos(roll), 0.0], [0.0, 0.0, 1.0]]
    )
    return about_z @ about_x @ about_y


def pose_from_rotation(rotation: Matrix) -> Matrix:
    """Yaw, pitch, roll (3,) in degrees of a rotation (3,3); undoes `rotation_from_pose`."""
    yaw = np.arctan2(rotation[2, 0], rotation[2, 2])
    pitch = np.arcsin(np.clip(-rotation[2, 1], -1.0, 1.0))
    roll = np.arctan2(-rotation[0, 1], rotation[1, 1])
    return np.degrees([yaw, pitch, roll])


def pose_from_mesh(
    landmarks_468: Points, image_size: tuple[int, int], canonical_vertices: Points
) -> npt.NDArray[np.float32]:
    """Yaw, pitch, roll (3,) float32 in degrees of a mesh.

    yaw > 0: the face is turned to the image's right; pitch > 0: up; roll > 0: clockwise in the
    image. The pose is that against the line of sight to the face, so that it says how the face
    looks in its crop wherever it stands in the frame.

    Args:
        landmarks_468: (468,2 or 3) frame px; depth is not used.
        image_size: width, height of the frame in px.
        canonical_vertices: (468,3) canonical face, x to image right, y up, z to the viewer.

    PnP on the vertices that speech hardly moves (EPnP, Lepetit et al. 2009), refined by
    Levenberg-Marquardt. OpenCV's SQPnP, as exact on large faces, refuses those of 40 px in a 4K
    frame. A mesh without extent has no pose: zeros.
    """
    # Model (V,3) and picture (V,2) of the same vertices; a pinhole camera in the frame's middle.
    rigid, (width_px, height_px) = list(RIGID), image_size
    model = np.asarray(canonical_vertices, np.float64)[rigid] @ _TO_CAMERA
    centre = model.mean(axis=0)
    image = np.ascontiguousarray(np.asarray(landmarks_468, np.float64)[rigid, :2])
    if np.ptp(image, axis=0).max() < 1.0:
        return np.zeros(3, np.float32)
    focal = focal_px(width_px, height_px)
    camera = np.array(
        [[focal, 0.0, (width_px - 1) / 2], [0.0, focal, (height_px - 1) / 2], [0.0, 0.0, 1.0]]
    )
    model -= centre
    _, turn, offset = cv2.solvePnP(model, image, camera, None, flags=cv2.SOLVEPNP_EPNP)
    turn, offset = cv2.solvePnPRefineLM(model, image, camera, None, turn, offset)
    rotation = cv2.Rodrigues(turn)[0]
    # The model's own origin is what the line of sight goes to.
    sight = offset.ravel() - rotation @ centre
    return pose_from_rotation(_facing(sight).T @ rotation).astype(np.float32)


def _facing(sight: Matrix) -> Matrix:
    """Smallest rotation that turns the camera's axis into the direction `sight`."""
    direction = sight / np.linalg.norm(sight)
    axis = np.cross([0.0, 0.0, 1.0], direction)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-12:
        return np.eye(3)
    angle = np.arctan2(sine, direction[2])
    return np.asarray(cv2.Rodrigues(axis / sine * angle)[0])


def project(
    canonical_vertices: Points, pose_deg: Points, place: Points, image_size: tuple[int, int]
) -> Matrix:
    """Picture (N,2) in px of the canonical face at a pose, seen by the camera of `pose_from_mesh`.

    Args:
        canonical_vertices: (N,3).
        pose_deg: yaw, pitch, roll against the line of sight.
        place: (3,) of the face's origin in camera axes, in units of the vertices.
        image_size: width, height in px.
    """
    width_px, height_px = image_size
    rotation = _facing(np.asarray(place, np.float64)) @ rotation_from_pose(pose_deg)
    points = np.asarray(canonical_vertices, np.float64) @ _TO_CAMERA @ rotation.T + place
    centre = np.array([(width_px - 1) / 2, (height_px - 1) / 2])
    return points[:, :2] / points[:, 2:] * focal_px(width_px, height_px) + centre
