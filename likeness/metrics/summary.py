"""From columns of scores to metrics.json: means, differences to the target, verdicts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import ParamsError
from likeness.contracts.tables.per_frame import SCORES
from likeness.metrics import identity, temporal

Values = npt.NDArray[np.float64]
Columns = dict[str, Values]
Tree = dict[str, Any]
DECIMALS = 4
BASELINES = {"copied_": "target_copied", "pasted_": "source_pasted"}
BOUND = re.compile(r"\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)\s*")


def rounded(value: float, decimals: int = DECIMALS) -> float | None:
    """Rounded, so that the file's bytes do not hang on the last bits; None for nan."""
    return None if not np.isfinite(value) else round(float(value), decimals) + 0.0


def mean(values: Values) -> float:
    """Mean of what was measured (not nan); nan if nothing was."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def least(values: Values) -> float:
    """Smallest of what was measured; nan if nothing was."""
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else float("nan")


def beside(columns: Columns, name: str) -> Tree:
    """Mean of a score for the swap, and for both baselines."""
    tree: Tree = {"mean": rounded(mean(columns[name]))}
    return tree | {
        word: rounded(mean(columns[prefix + name])) for prefix, word in BASELINES.items()
    }


def identity_part(columns: Columns, source_itself: float) -> Tree:
    """Cosines to source and target of the swap and of the baselines."""
    measured = columns["identity_source"][~np.isnan(columns["identity_source"])]
    nearer = columns["identity_source"] > columns["identity_target"]
    tree: Tree = {
        "source": rounded(mean(measured)),
        "target": rounded(mean(columns["identity_target"])),
        "source_itself": rounded(source_itself),
        "nearer_to_source": rounded(float(nearer.sum()) / len(measured)) if len(measured) else None,
        "worst_source": rounded(least(columns["identity_source"])),
    }
    for prefix, word in BASELINES.items():
        tree[word] = {
            who: rounded(mean(columns[f"{prefix}identity_{who}"])) for who in ("source", "target")
        }
    return tree


def pose_part(columns: Columns) -> Tree:
    """Pose error: length of the difference, and by angle."""
    angles = {a: rounded(mean(columns[f"{a}_error_deg"])) for a in ("yaw", "pitch", "roll")}
    return beside(columns, "pose_error_deg") | angles


def outside_part(columns: Columns) -> Tree:
    """Fidelity where nothing should have changed."""
    largest = columns["max_difference_outside"]
    known = largest[~np.isnan(largest)]
    return {
        "ssim": rounded(mean(columns["ssim_outside"])),
        "ssim_worst": rounded(least(columns["ssim_outside"])),
        "psnr_db": rounded(mean(columns["psnr_outside_db"])),
        "max_difference": int(known.max()) if len(known) else None,
    }


def flicker_part(columns: Columns, shots: npt.NDArray[np.integer]) -> Tree:
    """What changes over time more than it does in the target clip; `_target` is the clip's own."""
    seen = ~np.isnan(columns["lab_l"])
    render, target = (
        temporal.colour_flicker(
            np.stack([columns[f"{prefix}lab_{c}"][seen] for c in "lab"], axis=1), shots[seen]
        )
        for prefix in ("", "target_")
    )
    cosines = columns["identity_source"]
    tree: Tree = {
        "identity_variance": rounded(identity.variance(cosines[~np.isnan(cosines)]), 6),
        "colour": rounded(render - target),
        "colour_target": rounded(target),
        "flow_difference_px": rounded(mean(columns["flow_difference_px"])),
    }
    for name in ("landmark_jitter", "warping_error"):
        own = mean(columns[f"target_{name}"])
        tree[name] = rounded(mean(columns[name]) - own, 6)
        tree[f"{name}_target"] = rounded(own, 6)
    return tree


def summarise(columns: Columns, shots: npt.NDArray[np.integer], source_itself: float) -> Tree:
    """All of metrics.json that is measured; null where there was no face.

    Args:
        columns: scores by name, (T,) with nan where not measured.
        shots: (T,) shot of each frame.
        source_itself: cosine of the source's own faces to their gallery, the best to be had.
    """
    return {
        "identity_cosine": identity_part(columns, source_itself),
        "pose_error_deg": pose_part(columns),
        "landmark_error": beside(columns, "landmark_error"),
        "expression_error": beside(columns, "expression_error"),
        "outside": outside_part(columns),
        "flicker": flicker_part(columns, shots),
        "seams": {
            "boundary_delta_e": beside(columns, "boundary_delta_e"),
            "gradient_ratio": beside(columns, "gradient_ratio"),
        },
        "colour_shift": rounded(mean(columns["colour_shift"])),
    }


def blank() -> Columns:
    """Scores of no frames."""
    return {name: np.zeros(0) for name in SCORES}


def leaves(tree: Tree, prefix: str = "") -> dict[str, Any]:
    """Values of nested mappings by dotted path."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        found |= leaves(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found


def verdicts(tree: Tree, gates: dict[str, str]) -> Tree:
    """Whether each bound holds, for example {"identity_cosine.source": ">= 0.35"}.

    A value that was not measured holds no bound.

    Raises:
        ParamsError: an unknown path, or a bound that is none.
    """
    known = {path: v for path, v in leaves(tree).items() if not isinstance(v, str)}
    found: Tree = {}
    for path, text in sorted(gates.items()):
        bound = BOUND.fullmatch(text)
        if path not in known:
            listed = ", ".join(sorted(known))
            raise ParamsError(f"evaluate.gates.{path}", "is no metric", f"choose from: {listed}")
        if bound is None:
            raise ParamsError(
                f"evaluate.gates.{path}", f"`{text}` is no bound", 'write for example ">= 0.35"'
            )
        value, limit = known[path], float(bound[2])
        found[path] = {
            "bound": text.strip(),
            "value": value,
            "passed": value is not None and _holds(float(value), bound[1], limit),
        }
    return found


def _holds(value: float, sign: str, limit: float) -> bool:
    return {
        ">=": value >= limit,
        "<=": value <= limit,
        ">": value > limit,
        "<": value < limit,
    }[sign]
