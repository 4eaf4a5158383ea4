"""From columns of scores to metrics.json, and verdicts on its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.per_frame import SCORES
from likeness.evaluation import parts
from likeness.evaluation.gates import leaves, verdicts
from likeness.evaluation.parts import Columns, Tree, beside, mean, rounded

__all__ = ["Columns", "Tree", "blank", "leaves", "mean", "rounded", "summarise", "verdicts"]
Values = npt.NDArray[np.float64]


def summarise(
    columns: Columns,
    shots: npt.NDArray[np.integer],
    source_itself: float,
    second_itself: float = np.nan,
    features: dict[str, Sequence[Values]] | None = None,
) -> Tree:
    """All of metrics.json that is measured; null where there was no face.

    Args:
        columns: scores by name, (T,) with nan where not measured.
        shots: (T,) shot of each frame.
        source_itself: cosine of the source's own faces to their gallery, the best to be had.
        second_itself: the same by the second embedder.
        features: by prefix of the columns, (C,) of each measured crop, for FID and KID.
    """
    frames = int((~np.isnan(columns["gaze_error"])).sum())
    return {
        "identity_cosine": parts.identity_part(columns, source_itself),
        "identity_independent": parts.identity_part(columns, second_itself, "independent"),
        "pose_error_deg": parts.pose_part(columns),
        "landmark_error": beside(columns, "landmark_error"),
        "expression_error": beside(columns, "expression_error"),
        "action_units": parts.units_part(columns),
        "gaze_error": beside(columns, "gaze_error") | {"frames": frames},
        "illumination": parts.light_part(columns),
        "perceptual_distance": beside(columns, "perceptual_distance"),
        **parts.crowd_part(features or {}),
        "outside": parts.outside_part(columns),
        "flicker": parts.flicker_part(columns, shots),
        "seams": {
            "boundary_delta_e": beside(columns, "boundary_delta_e"),
            "gradient_ratio": beside(columns, "gradient_ratio"),
        },
        "colour_shift": beside(columns, "colour_shift"),
    }


def blank() -> Columns:
    """Scores of no frames."""
    return {name: np.zeros(0) for name in SCORES}
