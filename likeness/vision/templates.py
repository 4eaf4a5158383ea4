"""Canonical places of the five points in an aligned crop.

Framings from tight to wide: half_face (brows to chin's dent), arcface_112, mid_face, mtcnn_512,
full_face, whole_face and ffhq_512 (forehead and chin), head (hair and neck).
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt

from likeness.contracts.vocabulary import TemplateName

NAMES: tuple[TemplateName, ...] = get_args(TemplateName)

# Rows: image-left eye, image-right eye, nose, image-left and image-right mouth corner.
# ArcFace (Deng et al. 2019) as published with its models; tight around the inner face.
_ARCFACE_112 = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
# Mean of the five points over FFHQ (Karras et al. 2019) at 512 px; forehead, chin and some hair.
_FFHQ_512 = (
    (192.98138, 239.94708),
    (318.90277, 240.19360),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)
# Mean five points of MTCNN's boxes (Zhang et al. 2016); between the two in tightness.
_MTCNN_512 = (
    (187.20187, 239.27705),
    (324.12360, 238.51974),
    (256.09793, 317.14795),
    (199.84871, 397.30597),
    (313.23618, 396.67879),
)
HALF_EYES = 0.53
"""Distance of the eyes in the half face, share of its side: it ends above the brows, below the
lips and at the temples, as the square on which DeepFaceLab fits its mean face."""
HALF_DROP = 0.29
"""How far the middle of the half face lies below the line of the eyes, share of its side."""
# How far a framing goes beyond the half face on each side (DeepFaceLab's paddings, times the root
# of 2 with which its code widens them), and how far its middle lies above that of the half face,
# both as shares of the half face's side. Its head is lifted by 0.5, which would cut the chin
# higher than the whole face does; 0.45 keeps each framing inside the next.
FRAMINGS: dict[str, tuple[float, float]] = {
    "half_face": (0.0, 0.0),
    "mid_face": (0.0675 * 2**0.5, 0.0),
    "full_face": (0.2109375 * 2**0.5, 0.0),
    "whole_face": (0.4 * 2**0.5, 0.07),
    "head": (0.7 * 2**0.5, 0.45),
}


def _framed(beyond: float, lift: float) -> tuple[tuple[float, float], ...]:
    """The five points of FFHQ's mean face in a framing, px of a crop of side 512.

    One face, five views of it: only scale and height differ.
    """
    points = np.array(_FFHQ_512)
    between = points[:2].mean(axis=0)
    half_px = float(np.linalg.norm(points[1] - points[0])) / HALF_EYES
    middle = between + np.array([0.0, (HALF_DROP - lift) * half_px])
    scaled = (points - middle) * (512 / (half_px * (1 + 2 * beyond))) + 255.5
    return tuple((float(x), float(y)) for x, y in scaled)


_POINTS: dict[str, tuple[int, tuple[tuple[float, float], ...]]] = {
    "arcface_112": (112, _ARCFACE_112),
    "ffhq_512": (512, _FFHQ_512),
    "mtcnn_512": (512, _MTCNN_512),
    **{name: (512, _framed(*framing)) for name, framing in FRAMINGS.items()},
}


def template(name: TemplateName, size_px: int) -> npt.NDArray[np.float64]:
    """Five points (5,2) of template `name` in px of a crop of side `size_px`.

    Pixel centres lie at integers, so that a crop covers [-0.5, size_px - 0.5] and scaling keeps
    its edges in place.
    """
    native_px, points = _POINTS[name]
    return (np.array(points) + 0.5) * (size_px / native_px) - 0.5


def eye_distance_px(name: TemplateName, size_px: int) -> float:
    """Distance between the eyes of a frontal face in a crop of side `size_px`."""
    points = template(name, size_px)
    return float(np.linalg.norm(points[1] - points[0]))
