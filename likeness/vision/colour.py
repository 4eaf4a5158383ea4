"""Colour of a swapped face brought to that of the target: mean and deviation in Lab.

Reinhard, Ashikhmin, Gooch, Shirley: "Color Transfer between Images", IEEE CG&A 2001, in
CIE Lab; the form that the swap tools before this one offer as `color-transfer` and `rct`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FLAT = 0.25
"""Lab deviation below which a channel counts as flat: it is moved, never stretched."""
ENOUGH = 16.0
"""Sum of weights (pixels) below which there are no statistics worth using."""


@dataclass(frozen=True)
class LabStatistics:
    """Weighted mean and standard deviation per Lab channel: L in 0-100, a and b in -127 to 127."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def towards(self, other: LabStatistics, share: float) -> LabStatistics:
        """Statistics `share` (0-1) of the way from these to `other`."""
        mean = np.asarray(self.mean) * (1 - share) + np.asarray(other.mean) * share
        deviation = np.asarray(self.deviation) * (1 - share) + np.asarray(other.deviation) * share
        return LabStatistics(_three(mean), _three(deviation))


def _three(values: npt.NDArray[np.floating]) -> tuple[float, float, float]:
    first, second, third = (float(v) for v in values)
    return first, second, third


def rgb_to_lab(rgb: Rgb) -> Floats:
    """uint8 RGB (H,W,3), sRGB -> float32 Lab (H,W,3), D65."""
    scaled = np.multiply(rgb, np.float32(1 / 255), dtype=np.float32)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB))


def lab_to_rgb(lab: Floats) -> Rgb:
    """float32 Lab (H,W,3) -> uint8 RGB, rounded, colours outside sRGB clipped."""
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return np.asarray(cv2.multiply(rgb, (255, 255, 255, 0), dtype=cv2.CV_8U))


def lab_statistics(rgb: Rgb, weight: Floats) -> LabStatistics | None:
    """Mean and deviation of uint8 RGB (H,W,3), each pixel counted by `weight` (H,W), 0-1.

    None if the weights cover less than `ENOUGH` pixels.
    """
    total = float(weight.sum(dtype=np.float64))
    if total < ENOUGH:
        return None
    flat = rgb_to_lab(rgb).reshape(-1, 3)
    shares = (weight.reshape(-1) / np.float32(total)).astype(np.float32)
    mean = shares @ flat
    deviation = np.sqrt(shares @ np.square(flat - mean))
    return LabStatistics(_three(mean), _three(deviation))


def lab_transfer(
    rgb: Rgb,
    own: LabStatistics,
    wanted: LabStatistics,
    strength: float = 1.0,
    gain_limit: float = 2.0,
) -> Rgb:
    """Give `rgb` (H,W,3, uint8), whose statistics are `own`, the statistics `wanted`.

    Args:
        strength: 0 leaves the colours, 1 moves them all the way.
        gain_limit: a channel is stretched or squeezed at most by this factor, so that noise in
            a nearly flat channel is not blown up.
    """
    target = own.towards(wanted, strength)
    deviation = np.asarray(own.deviation)
    gain = np.asarray(target.deviation) / np.maximum(deviation, FLAT)
    gain = np.where(deviation < FLAT, 1.0, np.clip(gain, 1 / gain_limit, gain_limit))
    shift = np.asarray(target.mean) - np.asarray(own.mean) * gain
    if np.abs(gain - 1.0).max() < 1e-6 and np.abs(shift).max() < 1e-4:
        return rgb
    scaled = np.column_stack([np.diag(gain), shift]).astype(np.float32)
    return lab_to_rgb(np.asarray(cv2.transform(rgb_to_lab(rgb), scaled)))


class SteadyColours:
    """Exponential mean of a track's statistics, so that the transfer does not flicker.

    Args:
        memory: share (0-1) of what was known before; 0 takes each frame by itself.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._known: dict[tuple[int, ...], tuple[LabStatistics, LabStatistics]] = {}

    def update(
        self, key: tuple[int, ...], own: LabStatistics, wanted: LabStatistics
    ) -> tuple[LabStatistics, LabStatistics]:
        """Steadied (own, wanted) for `key`: a track within a shot; new keys start afresh."""
        before = self._known.get(key)
        if before is not None:
            own = own.towards(before[0], self._memory)
            wanted = wanted.towards(before[1], self._memory)
        self._known[key] = (own, wanted)
        return own, wanted
