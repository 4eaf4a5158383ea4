"""One face on one frame, and what lies between two sightings of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Face:
    """A face on a frame.

    Attributes:
        bbox: (4,), frame px.
        det_score: of the detector, 0-1.
        landmarks_5: (5,2), frame px.
        embedding: (D,), unit length.
        embedding_norm: its length before.
        followed: True: not seen by the detector but carried between two sightings.
        interpolated: True: the embedding was not measured on this frame.
        mesh_agrees: False: a mesh fitted there disagrees with the five points.
    """

    bbox: Floats
    det_score: float
    landmarks_5: Floats
    embedding: Floats
    embedding_norm: float
    followed: bool = False
    interpolated: bool = False
    mesh_agrees: bool = True


def slerp(first: Floats, second: Floats, share: float) -> Floats:
    """Unit vector at `share` (0-1) of the great circle from `first` to `second` (Shoemake 1985)."""
    angle = float(np.arccos(np.clip(np.dot(first, second), -1.0, 1.0)))
    if angle < 1e-3:
        mixed = first * (1 - share) + second * share
    else:
        mixed = np.sin((1 - share) * angle) * first + np.sin(share * angle) * second
    return np.asarray(mixed / max(float(np.linalg.norm(mixed)), 1e-12), np.float32)


def between(first: Face, second: Face, share: float) -> Face:
    """The face at `share` (0-1) of the way from one sighting to another, on straight lines."""
    low, high = np.float32(1 - share), np.float32(share)
    return Face(
        bbox=first.bbox * low + second.bbox * high,
        det_score=first.det_score * (1 - share) + second.det_score * share,
        landmarks_5=first.landmarks_5 * low + second.landmarks_5 * high,
        embedding=slerp(first.embedding, second.embedding, share),
        embedding_norm=first.embedding_norm * (1 - share) + second.embedding_norm * share,
        followed=True,
        interpolated=True,
        mesh_agrees=first.mesh_agrees and second.mesh_agrees,
    )


def moved(
    face: Face, bbox: npt.NDArray[np.floating], landmarks_5: npt.NDArray[np.floating]
) -> Face:
    """The same face elsewhere."""
    return replace(face, bbox=bbox.astype(np.float32), landmarks_5=landmarks_5.astype(np.float32))


def overlap(first: Floats, second: Floats) -> float:
    """Intersection over union of two boxes (4,)."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    areas = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]))
    return common / max(areas - common, 1e-6)
