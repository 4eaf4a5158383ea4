"""The functions behind the columns: each bears the name of the column that it measures.

They apply the formulas of this room's other modules to a subject (metrics.subjects), and return
one number, nan where nothing can be said. The catalogue says of which subject a column is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from likeness.metrics import (
    colour,
    expression,
    fidelity,
    gaze,
    landmarks,
    light,
    perceptual,
    pose,
    seams,
    temporal,
)
from likeness.metrics.subjects import Frames, Look, Motion, Pair, Run

Subject = TypeVar("Subject", Look, Pair, Frames, Motion, Run)
Measure = Callable[[Subject], float]
Values = npt.NDArray[np.float64]
OF_LOOK: dict[str, Measure[Look]] = {}
OF_PAIR: dict[str, Measure[Pair]] = {}
OF_FRAMES: dict[str, Measure[Frames]] = {}
OF_MOTION: dict[str, Measure[Motion]] = {}
OF_RUN: dict[str, Measure[Run]] = {}


def _into(
    known: dict[str, Measure[Subject]],
) -> Callable[[Measure[Subject]], Measure[Subject]]:
    """Decorator: the function measures the column that has its name."""

    def register(measure: Measure[Subject]) -> Measure[Subject]:
        known[measure.__name__] = measure
        return measure

    return register


of_pair, of_frames = _into(OF_PAIR), _into(OF_FRAMES)
of_motion, of_run = _into(OF_MOTION), _into(OF_RUN)


# A face against the target's.


def _turn(pair: Pair, axis: int) -> float:
    turn = pose.angle_difference(pair.given.pose_deg, pair.wanted.pose_deg)
    return float(abs(turn[axis]))


@of_pair
def yaw_error_deg(pair: Pair) -> float:
    """Turn to the side, degrees from the target's."""
    return _turn(pair, 0)


@of_pair
def pitch_error_deg(pair: Pair) -> float:
    """Nod, degrees from the target's."""
    return _turn(pair, 1)


@of_pair
def roll_error_deg(pair: Pair) -> float:
    """Tilt, degrees from the target's."""
    return _turn(pair, 2)


@of_pair
def pose_error_deg(pair: Pair) -> float:
    """See `pose.pose_error`; degrees."""
    return float(pose.pose_error(pair.given.pose_deg, pair.wanted.pose_deg))


@of_pair
def landmark_error(pair: Pair) -> float:
    """See `landmarks.landmark_error`; eye distances."""
    meshes = pair.given.mesh, pair.wanted.mesh
    return landmarks.landmark_error(*meshes, pair.eye_distance_px)


@of_pair
def expression_error(pair: Pair) -> float:
    """See `landmarks.expression_error`; eye distances."""
    return landmarks.expression_error(pair.given.mesh, pair.wanted.mesh)


@of_pair
def gaze_error(pair: Pair) -> float:
    """See `gaze.gaze_error`; eye widths."""
    return gaze.gaze_error(pair.given.gaze, pair.wanted.gaze)


@of_pair
def lab_mean_error(pair: Pair) -> float:
    """Length of the difference of mean Lab; see `light.differences`."""
    return pair.lab_errors[0]


@of_pair
def lab_deviation_error(pair: Pair) -> float:
    """Length of the difference of the deviation of Lab; see `light.differences`."""
    return pair.lab_errors[1]


@of_pair
def shading_correlation(pair: Pair) -> float:
    """See `light.shading_correlation`."""
    return light.shading_correlation(pair.given.shading, pair.wanted.shading)


@of_pair
def perceptual_distance(pair: Pair) -> float:
    """See `perceptual.distance`."""
    return perceptual.distance(pair.given.layers, pair.wanted.layers)


@of_pair
def boundary_delta_e(pair: Pair) -> float:
    """See `seams.boundary_delta_e`; CIEDE2000."""
    return seams.lab_step(pair.given.lab, pair.replaced.around)


@of_pair
def gradient_ratio(pair: Pair) -> float:
    """See `seams.gradient_ratio`."""
    return seams.gradient_ratio(pair.given.picture, pair.replaced.around)


@of_pair
def eye_gap(pair: Pair) -> float:
    """See `gaze.eye_gap`; eye widths."""
    return gaze.eye_gap(pair.given.lids, pair.wanted.lids)


@of_pair
def visible_seam(pair: Pair) -> float:
    """See `seams.visible_seam`; eye distances."""
    labs, mask = (pair.given.lab, pair.wanted.lab), pair.replaced.mask
    px = seams.visible_seam(*labs, mask, pair.wanted.mesh)
    return px / max(pair.eye_distance_px, 1e-6)


@of_pair
def shade_mismatch(pair: Pair) -> float:
    """See `seams.shade_mismatch`; Lab."""
    return seams.shade_mismatch(pair.given.lab, pair.wanted.lab, pair.replaced.mask)


@of_pair
def coverage(pair: Pair) -> float:
    """See `seams.covered`; of the target's face."""
    return seams.covered(pair.replaced.mask, pair.wanted.mesh)


@of_pair
def colour_shift(pair: Pair) -> float:
    """CIEDE2000 between the mean colours inside the mask."""
    return float(colour.delta_e_2000(pair.given.colours[0], pair.wanted.colours[0]))


# A face alone: what was measured with its look, under one name each.


def _at(values: Callable[[Look], Values], place: int) -> Measure[Look]:
    return lambda look: float(values(look)[place])


OF_LOOK.update({name: _at(lambda look: look.units, i) for i, name in enumerate(expression.UNITS)})
OF_LOOK.update(
    {f"lab_{name}": _at(lambda look: look.colours[0], i) for i, name in enumerate("lab")}
)
ANGLES = ("yaw_deg", "pitch_deg", "roll_deg")
OF_LOOK.update({name: _at(lambda look: look.pose_deg, i) for i, name in enumerate(ANGLES)})


# Whole frames, outside of what the mask may have touched.


@of_frames
def psnr_outside_db(frames: Frames) -> float:
    """See `fidelity.psnr`; dB of the luma."""
    return fidelity.psnr(frames.outside[0])


@of_frames
def max_difference_outside(frames: Frames) -> float:
    """Largest difference of the luma, grey levels of 255."""
    return float(frames.outside[1])


@of_frames
def ssim_outside(frames: Frames) -> float:
    """See `fidelity.ssim`; without pixels whose window reaches what was touched."""
    counted = fidelity.reach(frames.touched, fidelity.WINDOW_PX // 2) == 0
    return fidelity.ssim(frames.target, frames.render, counted)


# A frame and the one before.


@of_motion
def warping_error(motion: Motion) -> float:
    """See `temporal.warping_error`; of the render, along the target's flow."""
    return temporal.warping_error(motion.now[0], motion.before[0], motion.flow, motion.counted)


@of_motion
def target_warping_error(motion: Motion) -> float:
    """The target's own."""
    return temporal.warping_error(motion.now[1], motion.before[1], motion.flow, motion.counted)


@of_motion
def flow_difference_px(motion: Motion) -> float:
    """See `temporal.flow_difference`; px."""
    own = temporal.optical_flow(motion.now[0], motion.before[0])
    return temporal.flow_difference(own, motion.flow, motion.counted)


# Three frames in a row.


@of_run
def landmark_jitter(run: Run) -> float:
    """See `landmarks.jitter`; eye distances, of the render."""
    return landmarks.jitter(np.stack(run.render), run.eye_distance_px)


@of_run
def target_landmark_jitter(run: Run) -> float:
    """The target's own."""
    return landmarks.jitter(np.stack(run.target), run.eye_distance_px)
