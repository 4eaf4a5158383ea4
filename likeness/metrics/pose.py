"""Head pose: differences of angles in degrees that know about the turn at 180."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Angles = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]


def angle_difference(first_deg: Angles, second_deg: Angles) -> Values:
    """Signed smallest turn from `second_deg` to `first_deg`, in (-180, 180] degrees."""
    turn = np.asarray(first_deg, np.float64) - np.asarray(second_deg, np.float64)
    return 180.0 - (180.0 - turn) % 360.0


def pose_error(first_deg: Angles, second_deg: Angles) -> Values:
    """Length of the difference of two poses (...,3) yaw, pitch, roll in degrees.

    sqrt(dyaw^2 + dpitch^2 + droll^2), the pose error of FaceShifter (Li et al. 2020) with angles
    by PnP on the mesh in the place of Hopenet.
    """
    return np.linalg.norm(angle_difference(first_deg, second_deg), axis=-1)
