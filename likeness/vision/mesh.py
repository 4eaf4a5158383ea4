"""Topology of the 468-point face mesh: named outlines, the five points in it, rigid fits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating]

POINTS = 468
# Vertex numbers are those of MediaPipe's canonical face model (Kartynnik et al. 2019). Outlines
# run around once; left and right are the picture's.
IMAGE_LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
IMAGE_RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
IMAGE_LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
IMAGE_RIGHT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)  # noqa: E501  # fmt: skip  # one outline, one line
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)  # noqa: E501  # fmt: skip  # one outline, one line
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
FOREHEAD = (162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389)
"""The part of the oval above the brows, from image left to image right."""
IMAGE_LEFT_EYE_CORNERS = (33, 133)
IMAGE_RIGHT_EYE_CORNERS = (362, 263)
NOSE_TIP = 4
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 48, 64, 98, 129, 278, 294, 327, 358)
MOUTH_CORNERS = (61, 291)
# Vertices that speech, blinks and brows hardly move: bridge and tip of the nose, forehead, corners
# of the eyes, temples, cheekbones.
RIGID = (
    *(1, 4, 5, 195, 197, 6, 168, 8, 9, 151, 10),
    *(33, 133, 54, 67, 127, 143, 21, 162, 117, 119, 121, 129, 198, 147),
    *(263, 362, 284, 297, 356, 372, 251, 389, 346, 348, 350, 358, 420, 376),
)


def mesh_to_five(landmarks_468: Points) -> npt.NDArray[np.float64]:
    """Five points (...,5,2) in the order of `landmarks_5` from a mesh (...,468,2 or 3).

    An eye is the mean of its outline, so that it stays near the pupil when the eye closes.
    """
    points = np.asarray(landmarks_468, np.float64)[..., :2]
    left = points[..., list(IMAGE_LEFT_EYE), :].mean(axis=-2)
    right = points[..., list(IMAGE_RIGHT_EYE), :].mean(axis=-2)
    rest = [points[..., index, :] for index in (NOSE_TIP, *MOUTH_CORNERS)]
    return np.stack([left, right, *rest], axis=-2)


def mesh_error(landmarks_468: Points, landmarks_5: Points, eye_distance_px: float) -> float:
    """Mean distance of a mesh (468,2 or 3) to the detector's five points, in eye distances.

    `eye_distance_px` is that of a frontal face of this size (the template's, in crop px): the
    visible one shrinks in profile, and with it the measure would grow for no fault of the mesh.
    """
    distances = np.linalg.norm(mesh_to_five(landmarks_468) - np.asarray(landmarks_5), axis=-1)
    return float(distances.mean() / eye_distance_px)


def fit_similarity(
    from_points: Points, to_points: Points
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Similarities of (...,N,3) onto (N,3) or (...,N,3): scale (...), rotation (...,3,3), offset.

    `scale * points @ rotation.T + offset` is the least-squares fit without reflection (Umeyama
    1991).
    """
    source, target = np.asarray(from_points, np.float64), np.asarray(to_points, np.float64)
    source_mean = source.mean(axis=-2, keepdims=True)
    target_mean = target.mean(axis=-2, keepdims=True)
    source_centred, target_centred = source - source_mean, target - target_mean
    covariance = np.swapaxes(target_centred, -1, -2) @ source_centred
    left, singular, right = np.linalg.svd(covariance)
    signs = np.ones(singular.shape)
    signs[..., -1] = np.where(np.linalg.det(left) * np.linalg.det(right) < 0, -1.0, 1.0)
    rotation = (left * signs[..., None, :]) @ right
    size = (singular * signs).sum(axis=-1) / (source_centred**2).sum(axis=(-1, -2))
    turned = size[..., None, None] * (source_mean @ np.swapaxes(rotation, -1, -2))
    return size, rotation, (target_mean - turned)[..., 0, :]


def expression(landmarks_468: Points, rounds: int = 3) -> npt.NDArray[np.float64]:
    """What is left of meshes (N,468,3) once pose, place and size are taken out: (N,468,3).

    Each mesh is laid on the mean of all by its rigid vertices; the mean is found anew in each
    round (generalised Procrustes, Gower 1975). Units: eye distances of the mean. What moves then
    is the expression; the identity's own shape is in the mean.
    """
    meshes = np.asarray(landmarks_468, np.float64)
    if not len(meshes):
        return np.zeros((0, POINTS, 3))
    rigid, mean = list(RIGID), meshes[0]
    for _ in range(rounds):
        size, rotation, offset = fit_similarity(meshes[:, rigid], mean[rigid])
        laid = size[:, None, None] * (meshes @ np.swapaxes(rotation, -1, -2)) + offset[:, None]
        mean = laid.mean(axis=0)
    five = mesh_to_five(mean)
    return (laid - mean) / np.linalg.norm(five[1] - five[0])
