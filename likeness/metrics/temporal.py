"""Time: flicker of colour, and how well a picture follows its own motion."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
OCCLUSION_PX = 1.0
"""A pixel whose flow there and back misses itself by more than this is taken as occluded."""


def colour_flicker(means_lab: Values, shots: npt.NDArray[np.integer]) -> float:
    """Standard deviation of the face's mean Lab colour (T,3) around the mean of its shot (T,).

    Root of the three channels' pooled variances; the published figure is this minus the target
    clip's own. nan for no frames.
    """
    if not len(means_lab):
        return float("nan")
    apart = np.array(means_lab, np.float64)
    for shot in np.unique(shots):
        apart[shots == shot] -= apart[shots == shot].mean(axis=0)
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


def optical_flow(now: Luma, before: Luma) -> Flow:
    """Flow (H,W,2) in px: where each pixel of `now` was in `before`.

    Dense inverse search, fast preset (Kroeger et al. 2016).
    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(
        estimator.calc(np.ascontiguousarray(now), np.ascontiguousarray(before), None), np.float32
    )


def _carried(picture: npt.NDArray[np.float32], flow: Flow) -> npt.NDArray[np.float32]:
    """`picture` (H,W or H,W,2) read where `flow` points."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(
        picture,
        x + flow[..., 0],
        y + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def visible(forward: Flow, backward: Flow) -> npt.NDArray[np.bool_]:
    """Where the flow there and back returns to its start (H,W): not occluded."""
    back = _carried(backward, forward)
    return np.asarray(np.hypot(*np.moveaxis(forward + back, -1, 0)) <= OCCLUSION_PX)


def warping_error(now: Luma, before: Luma, flow: Flow, counted: npt.NDArray[np.bool_]) -> float:
    """Mean squared difference of `now` (H,W) to `before` carried along `flow`, over `counted`.

    Grey levels scaled to [0,1] (Lai et al. 2018, E_warp); the flow is the target clip's, and the
    published figure is this minus the target clip's own. nan where nothing is counted.
    """
    if not counted.any():
        return float("nan")
    carried = _carried(before.astype(np.float32), flow)
    apart = (now.astype(np.float32) - carried)[counted] / 255.0
    return float(np.mean(apart**2, dtype=np.float64))


def flow_difference(flow: Flow, reference: Flow, counted: npt.NDArray[np.bool_]) -> float:
    """Mean length in px of the difference of two flows over `counted`: tOF (Chu et al. 2020)."""
    if not counted.any():
        return float("nan")
    return float(np.linalg.norm(flow - reference, axis=-1)[counted].mean(dtype=np.float64))
