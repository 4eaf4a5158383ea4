"""Which columns of per_frame.parquet are drawn together over the frames of a clip.

Columns that no chart names get one of their own: a new metric shows without any change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from likeness.evaluation.report import charts, rows
from likeness.evaluation.report.charts import Chart, Curve

Values = npt.NDArray[np.float64]
Columns = Mapping[str, Values]
PREFIXES = {"": "swap", "target_": "target", "copied_": "target copied", "pasted_": "source pasted"}
"""Beginnings of columns that measure the same thing on something else."""
ACTION_UNITS = ("mouth_open", "mouth_width", "smile", "brow_raise", "brow_furrow", "eye_open")


@dataclass(frozen=True)
class Group:
    """Columns of one chart: label -> column, and a y that must be visible."""

    title: str
    hint: str
    columns: dict[str, str] = field(default_factory=dict)
    floor: float | None = None


GROUPS = (
    Group(
        "Identity",
        "cosine; to the source higher is better",
        {
            "to source": "identity_source",
            "to target": "identity_target",
            "source pasted": "pasted_identity_source",
        },
        0.0,
    ),
    Group(
        "Identity, second opinion",
        "cosine by an embedder that nothing else uses",
        {
            "to source": "independent_source",
            "to target": "independent_target",
            "source pasted": "pasted_independent_source",
        },
        0.0,
    ),
    Group(
        "Head pose",
        "degrees from the target's, lower is better",
        {"swap": "pose_error_deg", "source pasted": "pasted_pose_error_deg"},
        0.0,
    ),
    Group(
        "Landmarks and expression",
        "eye distances from the target's, lower is better",
        {"landmarks": "landmark_error", "expression": "expression_error"},
        0.0,
    ),
    Group(
        "Border",
        "colour step ΔE 2000, near the target's is better",
        {"swap": "boundary_delta_e", "target": "copied_boundary_delta_e"},
    ),
    Group(
        "Lightness of the face",
        "Lab L inside the mask; parallel lines do not flicker",
        {"swap": "lab_l", "target": "target_lab_l"},
    ),
    Group(
        "Warping error",
        "squared difference along the flow, near the target's is better",
        {"swap": "warping_error", "target": "target_warping_error"},
        0.0,
    ),
    Group(
        "Jitter",
        "second difference of the mesh in eye distances, near the target's is better",
        {"swap": "landmark_jitter", "target": "target_landmark_jitter"},
        0.0,
    ),
    Group(
        "Motion",
        "flow in px from the target's, lower is better",
        {"swap": "flow_difference_px"},
        0.0,
    ),
    Group(
        "Angles",
        "degrees from the target's, lower is better",
        {"yaw": "yaw_error_deg", "pitch": "pitch_error_deg", "roll": "roll_error_deg"},
        0.0,
    ),
    Group("Colour", "mean inside the mask, ΔE 2000 to the target's", {"swap": "colour_shift"}, 0.0),
    Group(
        "Border, edges",
        "gradient energy against both sides, near the target's is better",
        {"swap": "gradient_ratio", "target": "copied_gradient_ratio"},
    ),
    Group(
        "Gaze",
        "eye widths from the target's, lower is better",
        {"swap": "gaze_error", "source pasted": "pasted_gaze_error"},
        0.0,
    ),
    Group(
        "Light",
        "Lab from the target's, lower is better",
        {"mean": "lab_mean_error", "contrast": "lab_deviation_error"},
        0.0,
    ),
    Group(
        "Light, shading",
        "correlation with the target's, higher is better",
        {"swap": "shading_correlation", "source pasted": "pasted_shading_correlation"},
    ),
    Group(
        "Perceptual distance",
        "features of the pack's recogniser, lower is better",
        {"swap": "perceptual_distance", "source pasted": "pasted_perceptual_distance"},
        0.0,
    ),
    *(
        Group(
            unit.replace("_", " ").capitalize(),
            "eye distances; following the target is better",
            {"swap": unit, "target": f"target_{unit}", "source pasted": f"pasted_{unit}"},
        )
        for unit in ACTION_UNITS
    ),
    Group("Outside the mask", "PSNR in dB, higher is better", {"swap": "psnr_outside_db"}),
    Group("Outside: SSIM", "higher is better", {"swap": "ssim_outside"}),
    Group("Outside: largest", "grey levels of 255", {"swap": "max_difference_outside"}, 0.0),
)
UNSEEN = frozenset({"mesh_score", "lab_a", "lab_b", "yaw_deg", "pitch_deg", "roll_deg"})
"""Stems that stand in the table of frames alone: no reader has asked for them as curves."""
WORDS = {"higher": "higher is better", "lower": "lower is better"}


def stem(column: str) -> str:
    """A column's name without what it was measured on."""
    found = next((p for p in PREFIXES if p and column.startswith(p)), "")
    return column.removeprefix(found)


def groups(columns: Columns) -> list[Group]:
    """The named charts, then one for every stem that none of them shows."""
    named = [g for g in GROUPS if any(name in columns for name in g.columns.values())]
    shown = {stem(name) for group in GROUPS for name in group.columns.values()} | UNSEEN
    others: dict[str, dict[str, str]] = {}
    for name in columns:
        if stem(name) not in shown:
            label = PREFIXES[name.removesuffix(stem(name))]
            others.setdefault(stem(name), {})[label] = name
    for key, found in others.items():
        order = {label: found[label] for label in PREFIXES.values() if label in found}
        title = key[:1].upper() + key[1:].replace("_", " ")
        named.append(Group(title, WORDS.get(rows.direction(key), ""), order))
    return named


def _says_anything(label: str, values: Values) -> bool:
    """Whether a line is worth drawing: an error of the target to itself is 0 and stays there."""
    known = values[np.isfinite(values)]
    return bool(len(known)) and (label != PREFIXES["copied_"] or bool(np.ptp(known)))


def draw(columns: Columns, shots: npt.NDArray[np.integer]) -> list[Chart]:
    """Charts over the frames; a column without any value is left out.

    Args:
        columns: scores by name, (T,) with nan where not measured.
        shots: (T,) shot of each frame; cuts are marked.
    """
    x = np.arange(len(shots), dtype=np.float64)
    cuts = (np.flatnonzero(np.diff(shots)) + 1).tolist()
    drawn = []
    for group in groups(columns):
        lines = [
            Curve(label, columns[name])
            for label, name in group.columns.items()
            if name in columns and _says_anything(label, columns[name])
        ]
        if lines:
            chart = charts.draw(group.title, group.hint, x, lines, floor=group.floor, marks=cuts)
            drawn += [chart] if chart else []
    return drawn
