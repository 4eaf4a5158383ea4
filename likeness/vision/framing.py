"""The square around a face, as its mesh says: upright, chin and hairline in it, always as large.

Crops follow the template that a project chose; what looks at faces alone looks at this square, so
that it meets every template in one framing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from likeness.vision.mesh import FACE_OVAL

Points = npt.NDArray[np.floating]

TOP, CHIN = 10, 152
ROOM = 1.5
"""Side of the square in heights (or widths, where larger) of the oval."""
LIFT = 0.08
"""The square's middle lies so many of those above the oval's: hair falls from above."""


def face_square(landmarks: Points, side_px: int) -> npt.NDArray[np.float64]:
    """Affine (2,3) from px of the mesh (468,2 or 3) to a square of `side_px`."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    down = points[CHIN] - points[TOP]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    axes = np.array([[down[1], -down[0]], down])
    oval = points[list(FACE_OVAL)] @ axes.T
    low, high = oval.min(axis=0), oval.max(axis=0)
    extent = max(float((high - low).max()), 1e-6)
    scale = side_px / (ROOM * extent)
    middle = (low + high) / 2 - (0.0, LIFT * extent)
    offset = (side_px - 1) / 2 - scale * middle
    return np.concatenate([scale * axes, offset[:, None]], axis=1)
