"""Gaze: where the iris stands between the corners of the eye, in eye widths. A proxy.

The iris comes from a small network (Ablavatski et al. 2020); no eyeball is fitted and no angle
claimed. One eye width is about 30 mm and the eyeball turns about a point 12 mm behind the iris, so
that 0.1 eye widths are roughly 15 degrees of gaze; on drawn eyes the network reads 0.83 of a
horizontal and 0.69 of a vertical move, 0.03 and 0.015 eye widths off in the mean.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.metrics.expression import eyes_open
from likeness.vision import mesh

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
EYE_PX = 64
"""Side of an eye crop: the input of the iris network."""
ENLARGE = 2.3
"""Side of an eye crop per eye width, as the network expects it."""
LEAST_OPEN = 0.12
"""Lid distance per eye width below which an eye counts as closed and has no gaze."""
EYE_ENDS = (0, 8)
LIDS = ((11, 3), (12, 4), (13, 5))
"""Of the network's contour: its ends, and points of upper and lower lid above each other."""
CORNERS = (mesh.IMAGE_LEFT_EYE_CORNERS, mesh.IMAGE_RIGHT_EYE_CORNERS)


def eye_crops(picture: Pixels, landmarks_468: Points) -> Pixels:
    """Both eyes (2,64,64,3) of a picture (H,W,3) uint8 RGB, image-left first, corners level.

    The image-right one is mirrored: the network knows image-left eyes.
    """
    crops = []
    for side, (first, second) in enumerate(CORNERS):
        left, right = (np.asarray(landmarks_468[i, :2], np.float64) for i in (first, second))
        along = right - left
        width = max(float(np.linalg.norm(along)), 1.0)
        cosine, sine = along / width * (EYE_PX / (width * ENLARGE))
        linear = np.array([[cosine, sine], [-sine, cosine]])
        offset = (EYE_PX - 1) / 2 - linear @ ((left + right) / 2)
        affine = np.column_stack([linear, offset])
        border = cv2.BORDER_REPLICATE
        crop = cv2.warpAffine(picture, affine, (EYE_PX, EYE_PX), borderMode=border)
        crops.append(crop[:, ::-1] if side else crop)
    return np.ascontiguousarray(np.stack(crops))


def directions(irises: Points, landmarks_468: Points) -> Values:
    """Iris centres (2,2) from the middle between the eye's corners, in eye widths; x, y of the eye.

    Args:
        irises: (2,5,2 or 3) px of `eye_crops`, the centre first.
        landmarks_468: (468,3); closed eyes give nan.
    """
    centres = (np.asarray(irises, np.float64)[:, 0, :2] - (EYE_PX - 1) / 2) * ENLARGE / EYE_PX
    centres[1, 0] *= -1  # mirrored
    centres[eyes_open(landmarks_468) < LEAST_OPEN] = np.nan
    return centres


def lid_openings(contours: Points) -> Values:
    """Distance of the lids (2,) in eye widths, by the iris network's contours (2,71,2 or 3).

    Mean over the middle third of the eye. Closer to the lids than the face mesh, which hardly
    moves where an eye is closed by half. An open eye has 0.3 to 0.4, a shut one about 0.17: its
    two lids are lines beside each other.
    """
    points = np.asarray(contours, np.float64)[..., :2]
    widths = np.linalg.norm(points[:, EYE_ENDS[0]] - points[:, EYE_ENDS[1]], axis=1)
    gaps = [np.linalg.norm(points[:, upper] - points[:, lower], axis=1) for upper, lower in LIDS]
    return np.mean(gaps, axis=0) / np.maximum(widths, 1e-6)


def eye_gap(given: Values, wanted: Values) -> float:
    """Largest difference of two `lid_openings` (2,) of the same face: one eye shut is enough."""
    return float(np.abs(np.asarray(given) - np.asarray(wanted)).max())


def gaze_error(given: Values, wanted: Values) -> float:
    """Mean distance of two `directions` (2,2) in eye widths, over eyes open in both; nan for none.

    Proxy for the gaze error of re-enactment papers, which need a gaze network.
    """
    apart = np.linalg.norm(np.asarray(given) - np.asarray(wanted), axis=1)
    known = apart[~np.isnan(apart)]
    return float(known.mean()) if len(known) else float("nan")
