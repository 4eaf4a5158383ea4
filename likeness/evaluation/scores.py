"""Scores of single faces and frames: the metrics applied, each against the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from likeness.evaluation.look import Look
from likeness.metrics import (
    colour,
    expression,
    fidelity,
    gaze,
    identity,
    landmarks,
    light,
    perceptual,
    pose,
    seams,
    temporal,
)

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Scores = dict[str, float]
Points = npt.NDArray[np.floating]
ANGLES = ("yaw", "pitch", "roll")


def compared(given: Look, wanted: Look, around: seams.Rings) -> Scores:
    """What is measured alike of the render and of every baseline, against the target's face."""
    eyes = landmarks.eye_distance(wanted.mesh)
    means, deviations = light.differences(given.colours, wanted.colours)
    return {
        "pose_error_deg": float(pose.pose_error(given.pose_deg, wanted.pose_deg)),
        "landmark_error": landmarks.landmark_error(given.mesh, wanted.mesh, eyes),
        "expression_error": landmarks.expression_error(given.mesh, wanted.mesh),
        "gaze_error": gaze.gaze_error(given.gaze, wanted.gaze),
        "lab_mean_error": means,
        "lab_deviation_error": deviations,
        "shading_correlation": light.shading_correlation(given.shading, wanted.shading),
        "perceptual_distance": perceptual.distance(given.layers, wanted.layers),
        "boundary_delta_e": seams.lab_step(given.lab, around),
        "gradient_ratio": seams.gradient_ratio(given.picture, around),
    }


def units(given: Look) -> Scores:
    """Action units of a face by name."""
    return dict(zip(expression.UNITS, given.units.tolist(), strict=True))


def angles(given: Look, wanted: Look) -> Scores:
    """Errors of yaw, pitch and roll, and the target's own angles, in degrees."""
    turn = np.abs(pose.angle_difference(given.pose_deg, wanted.pose_deg))
    scores = {f"{name}_error_deg": float(v) for name, v in zip(ANGLES, turn, strict=True)}
    own = zip(ANGLES, wanted.pose_deg, strict=True)
    return scores | {f"target_{name}_deg": float(v) for name, v in own}


def colours(given: Look) -> Scores:
    """Mean Lab inside the mask."""
    return {f"lab_{c}": float(v) for c, v in zip("lab", given.colours[0], strict=True)}


def colour_shift(given: Look, wanted: Look) -> float:
    """CIEDE2000 between the mean colours inside the mask."""
    return float(colour.delta_e_2000(given.colours[0], wanted.colours[0]))


def outside(target: Pixels, render: Pixels, touched: Pixels) -> Scores:
    """PSNR and largest difference of luma pictures (H,W) where `touched` (H,W) is 0."""
    squared, largest = fidelity.difference_outside(target, render, touched)
    return {"psnr_outside_db": fidelity.psnr(squared), "max_difference_outside": float(largest)}


def ssim_outside(target: Pixels, render: Pixels, touched: Pixels) -> Scores:
    """SSIM of luma pictures (H,W), without pixels whose window reaches where `touched` is not 0."""
    counted = fidelity.reach(touched, fidelity.WINDOW_PX // 2) == 0
    return {"ssim_outside": fidelity.ssim(target, render, counted)}


def over_time(now: tuple[Pixels, Pixels], before: tuple[Pixels, Pixels], mask: Pixels) -> Scores:
    """Warping errors and flow difference between two frames, inside `mask` (h,w) uint8.

    Args:
        now, before: luma (h,w) of render and target in one box of both frames.
        mask: what is replaced in it.
    """
    flow = temporal.optical_flow(now[1], before[1])
    back = temporal.optical_flow(before[1], now[1])
    counted = temporal.visible(flow, back) & (mask >= 128)
    own = temporal.optical_flow(now[0], before[0])
    return {
        "warping_error": temporal.warping_error(now[0], before[0], flow, counted),
        "target_warping_error": temporal.warping_error(now[1], before[1], flow, counted),
        "flow_difference_px": temporal.flow_difference(own, flow, counted),
    }


def jitters(render: Sequence[Points], target: Sequence[Points]) -> Scores:
    """Landmark jitter of render and target over three meshes (468,3) in a row, frame px."""
    eyes = landmarks.eye_distance(target[1])
    return {
        "landmark_jitter": landmarks.jitter(np.stack(render), eyes),
        "target_landmark_jitter": landmarks.jitter(np.stack(target), eyes),
    }


def prefixed(prefix: str, scores: Scores) -> Scores:
    """The same with `prefix` before every name."""
    return {prefix + name: value for name, value in scores.items()}


def cosines(vectors: dict[int, Values], centroid: Values, frames: int) -> Values:
    """Column (frames,) of cosines to `centroid` (D,) of the faces by frame; nan elsewhere."""
    column = np.full(frames, np.nan)
    if vectors:
        column[list(vectors)] = identity.cosine(np.stack(list(vectors.values())), centroid)
    return column
