"""Landmarks: distances in units of the eye distance, with and without pose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from likeness.vision import mesh

Points = npt.NDArray[np.floating]


def eye_distance(landmarks_468: Points) -> float:
    """Distance between the eyes of a mesh (468,2 or 3), in its own unit.

    In space for a mesh with depth, so that a profile does not shrink it to nothing.
    """
    points = np.asarray(landmarks_468, np.float64)
    left = points[list(mesh.IMAGE_LEFT_EYE)].mean(axis=0)
    right = points[list(mesh.IMAGE_RIGHT_EYE)].mean(axis=0)
    return float(np.linalg.norm(right - left))


def landmark_error(landmarks: Points, reference: Points, eye_distance_px: float) -> float:
    """Mean distance of points (N,2 or 3) to `reference`, in the plane, in eye distances.

    The normalised mean error of face alignment (Sagonas et al. 2013).
    """
    given = np.asarray(landmarks, np.float64)[:, :2]
    wanted = np.asarray(reference, np.float64)[:, :2]
    return float(np.linalg.norm(given - wanted, axis=1).mean() / max(eye_distance_px, 1e-6))


def expression_error(landmarks_468: Points, reference_468: Points) -> float:
    """Mean distance of a mesh (468,3) to `reference_468` once pose, place and size are taken out.

    The mesh is laid on the reference by the vertices that expression hardly moves (similarity of
    Umeyama 1991); what remains is expression and the shape of the face. In eye distances.
    """
    given = np.asarray(landmarks_468, np.float64)
    wanted = np.asarray(reference_468, np.float64)
    rigid = list(mesh.RIGID)
    size, rotation, offset = mesh.fit_similarity(given[rigid], wanted[rigid])
    laid = size * given @ rotation.T + offset
    distance = np.linalg.norm(laid - wanted, axis=1).mean()
    return float(distance / max(eye_distance(wanted), 1e-6))


def jitter(track: Points, eye_distance_px: float) -> float:
    """Mean length of the second difference of points over frames (T,N,2 or 3), in eye distances.

    |p(t-1) - 2 p(t) + p(t+1)|: zero for a face that rests or moves evenly. nan for T < 3. The
    published figure is this minus the target clip's own.
    """
    points = np.asarray(track, np.float64)[..., :2]
    if len(points) < 3:
        return float("nan")
    second = points[:-2] - 2.0 * points[1:-1] + points[2:]
    return float(np.linalg.norm(second, axis=-1).mean() / max(eye_distance_px, 1e-6))
