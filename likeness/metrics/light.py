"""Illumination of a face: statistics of its colour, and where it is bright and dark."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.metrics.colour import mean_lab

Lab = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
GRID_PX = 48
SOFT_PX = 3.0
"""Sigma of the low pass on that grid: a sixteenth of the view, wider than any feature's edge."""


def statistics(lab: Lab, mask: Mask) -> Values:
    """Mean and deviation (2,3) of Lab (H,W,3) weighted by `mask` (H,W) uint8; nan without any."""
    weight = mask.astype(np.float32)
    mean = mean_lab(lab, weight)
    if np.isnan(mean).any():
        return np.full((2, 3), np.nan)
    squares = mean_lab((lab - mean.astype(np.float32)) ** 2, weight)
    return np.stack([mean, np.sqrt(squares)])


def differences(given: Values, wanted: Values) -> tuple[float, float]:
    """Lengths of the differences of two `statistics`: of the means, of the deviations (CIE 1976).

    The first says that the face has another colour or brightness, the second that its contrast is
    another: flat light, lost shadow.
    """
    means, deviations = np.asarray(given) - np.asarray(wanted)
    return float(np.linalg.norm(means)), float(np.linalg.norm(deviations))


def shading(lightness: npt.NDArray[np.float32], mask: Mask) -> npt.NDArray[np.float32]:
    """Low-passed lightness (GRID_PX,GRID_PX) of (H,W), from inside the mask alone; nan outside.

    Normalised convolution (Knutsson and Westin 1993): what lies outside has no say.
    """
    size = (GRID_PX, GRID_PX)
    weight = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    level = cv2.resize(lightness, size, interpolation=cv2.INTER_AREA)
    near = cv2.GaussianBlur(weight, (0, 0), SOFT_PX)
    soft = cv2.GaussianBlur(level * weight, (0, 0), SOFT_PX) / np.maximum(near, 1e-6)
    return np.asarray(np.where(weight >= 0.5, soft, np.nan), np.float32)


def shading_correlation(given: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> float:
    """Correlation of two `shading` maps over the mask; nan without one, or in flat light.

    1: bright and dark stand where the target's do, whatever the colour of the skin.
    """
    known = ~(np.isnan(given) | np.isnan(wanted))
    both = np.stack([given[known], wanted[known]]).astype(np.float64)
    if both.shape[1] < 2 or both.std(axis=1).min() < 1e-3:
        return float("nan")
    centred = both - both.mean(axis=1, keepdims=True)
    return float(centred[0] @ centred[1] / np.sqrt((centred**2).sum(axis=1).prod()))
