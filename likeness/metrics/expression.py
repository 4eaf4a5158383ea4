"""Expression by named distances on the mesh: stand-ins for action units, not a FACS coder.

Each is a length on the face in eye distances, measured in space, so that turning the head does
not change it: what FACS calls an action unit (Ekman and Friesen 1978) moves it, and so does the
shape of the face. Compare a swap with its target, not one person with another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from likeness.metrics.landmarks import eye_distance
from likeness.vision import mesh

Points = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
UNITS = ("mouth_open", "mouth_width", "smile", "brow_raise", "brow_furrow", "eye_open")
"""What `units` gives, in its order; the catalogue says of each what is measured."""
INNER_LIPS = (13, 14)
OUTER_LIPS = (0, 17)
INNER_BROWS = (55, 285)
LIDS = ((159, 145), (386, 374))
BRIDGE, BELOW_NOSE = 168, 2
"""Between the eyes, and where the nose ends: the line that says what up means."""


def units(landmarks_468: Points) -> Values:
    """The distances in `UNITS` (6,) of a mesh (468,3), in eye distances; px of any picture."""
    points = np.asarray(landmarks_468, np.float64)
    size = max(eye_distance(points), 1e-6)
    up = points[BRIDGE] - points[BELOW_NOSE]
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    corners = points[list(mesh.MOUTH_CORNERS)]
    eyes = points[[*mesh.IMAGE_LEFT_EYE_CORNERS, *mesh.IMAGE_RIGHT_EYE_CORNERS]].mean(axis=0)
    brows = points[[*mesh.IMAGE_LEFT_BROW, *mesh.IMAGE_RIGHT_BROW]].mean(axis=0)
    return (
        np.array(
            [
                _apart(points, INNER_LIPS),
                _apart(points, mesh.MOUTH_CORNERS),
                float((corners.mean(axis=0) - points[list(OUTER_LIPS)].mean(axis=0)) @ up),
                float((brows - eyes) @ up),
                _apart(points, INNER_BROWS),
                (_apart(points, LIDS[0]) + _apart(points, LIDS[1])) / 2,
            ]
        )
        / size
    )


def eyes_open(landmarks_468: Points) -> Values:
    """Distance of the lids per distance of the corners (2,), image-left and image-right eye.

    The eye aspect ratio of Soukupova and Cech 2016 with one pair of lid points.
    """
    points = np.asarray(landmarks_468, np.float64)
    corners = (mesh.IMAGE_LEFT_EYE_CORNERS, mesh.IMAGE_RIGHT_EYE_CORNERS)
    pairs = zip(LIDS, corners, strict=True)
    return np.array([_apart(points, lid) / max(_apart(points, ends), 1e-6) for lid, ends in pairs])


def _apart(points: Values, pair: tuple[int, int]) -> float:
    return float(np.linalg.norm(points[pair[0]] - points[pair[1]]))


def follows(given: Values, wanted: Values) -> float:
    """Correlation of a unit over frames (T,) with the target's; 1: it moves as the target does.

    Pearson's, so that another resting shape costs nothing. nan where fewer than three frames are
    known, or one of the two does not move.
    """
    known = ~(np.isnan(given) | np.isnan(wanted))
    if known.sum() < 3 or min(np.std(given[known]), np.std(wanted[known])) < 1e-9:
        return float("nan")
    return float(np.corrcoef(given[known], wanted[known])[0, 1])
