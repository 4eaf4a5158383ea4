"""The parts of metrics.json: each a tree of means, with the baselines beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.metrics import expression, identity, temporal
from likeness.metrics.distributions import RESAMPLES, Estimate, fid, kid

Values = npt.NDArray[np.float64]
Columns = dict[str, Values]
Tree = dict[str, Any]
DECIMALS = 4
BASELINES = {
    "copied_": "target_copied",
    "pasted_": "source_pasted",
    "reencoded_": "target_reencoded",
    "mesh_": "mesh_transfer",
}
"""Prefix of columns -> what metrics.json calls the baseline."""


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


def column(columns: Columns, name: str) -> Values:
    """A column; one of nan where a baseline has none."""
    return columns.get(name, np.full(len(columns["identity_source"]), np.nan))


def beside(columns: Columns, name: str) -> Tree:
    """Mean of a score for the swap, and for the baselines."""
    tree: Tree = {"mean": rounded(mean(columns[name]))}
    return tree | {
        word: rounded(mean(column(columns, prefix + name))) for prefix, word in BASELINES.items()
    }


def identity_part(columns: Columns, source_itself: float, name: str = "identity") -> Tree:
    """Cosines to source and target of the swap and of the baselines; `name` of the columns."""
    source, target = columns[f"{name}_source"], columns[f"{name}_target"]
    measured = source[~np.isnan(source)]
    nearer = source > target
    tree: Tree = {
        "source": rounded(mean(measured)),
        "target": rounded(mean(target)),
        "source_itself": rounded(source_itself),
        "nearer_to_source": rounded(float(nearer.sum()) / len(measured)) if len(measured) else None,
        "worst_source": rounded(least(source)),
    }
    for prefix, word in BASELINES.items():
        tree[word] = {
            who: rounded(mean(column(columns, f"{prefix}{name}_{who}")))
            for who in ("source", "target")
        }
    return tree


def pose_part(columns: Columns) -> Tree:
    """Pose error: length of the difference, and by angle."""
    angles = {a: rounded(mean(columns[f"{a}_error_deg"])) for a in ("yaw", "pitch", "roll")}
    return beside(columns, "pose_error_deg") | angles


def units_part(columns: Columns) -> Tree:
    """Action units: mean absolute difference to the target's, and whether they follow it."""
    tree: Tree = {}
    for name in expression.UNITS:
        wanted = columns[f"target_{name}"]
        own = {"mean": columns[name], "target_copied": wanted}
        own |= {
            word: column(columns, prefix + name)
            for prefix, word in BASELINES.items()
            if word not in own
        }
        tree[name] = {word: rounded(mean(np.abs(v - wanted))) for word, v in own.items()}
        tree[name]["correlation"] = rounded(expression.follows(columns[name], wanted))
    return tree


def outside_part(columns: Columns) -> Tree:
    """Fidelity where nothing should have changed, and how much of it encoding alone costs."""
    tree = _outside(columns, "") | {"ssim_worst": rounded(least(columns["ssim_outside"]))}
    for prefix in ("copied_", "reencoded_", "mesh_"):  # the paste touches nothing outside
        tree[BASELINES[prefix]] = _outside(columns, prefix)
    return tree


def _outside(columns: Columns, prefix: str) -> Tree:
    largest = column(columns, f"{prefix}max_difference_outside")
    known = largest[~np.isnan(largest)]
    return {
        "ssim": rounded(mean(column(columns, f"{prefix}ssim_outside"))),
        "psnr_db": rounded(mean(column(columns, f"{prefix}psnr_outside_db"))),
        "max_difference": int(known.max()) if len(known) else None,
    }


def flicker_part(columns: Columns, shots: npt.NDArray[np.integer]) -> Tree:
    """What changes over time more than it does in the target clip; `_target` is the clip's own."""
    tree = _flicker(columns, shots, "")
    tree["colour_target"] = rounded(_colour(columns, shots, "target_", "target_"))
    for name in ("landmark_jitter", "warping_error"):
        tree[f"{name}_target"] = rounded(mean(columns[f"target_{name}"]), 6)
    for prefix, word in BASELINES.items():
        tree[word] = _flicker(columns, shots, prefix)
    return tree


def _flicker(columns: Columns, shots: npt.NDArray[np.integer], prefix: str) -> Tree:
    """Flicker of the render or a baseline above the target's on the same frames."""
    cosines = column(columns, f"{prefix}identity_source")
    own = "target_" if prefix == "copied_" else prefix
    colour = _colour(columns, shots, own, own) - _colour(columns, shots, "target_", own)
    # The target's own flow differs from itself by nothing, wherever it was measured.
    moving = column(columns, f"{prefix}flow_difference_px")
    moving = columns["target_warping_error"] * 0 if prefix == "copied_" else moving
    tree: Tree = {
        "identity_variance": rounded(identity.variance(cosines[~np.isnan(cosines)]), 6),
        "colour": rounded(colour),
        "flow_difference_px": rounded(mean(moving)),
    }
    for name in ("landmark_jitter", "warping_error"):
        excess = column(columns, own + name) - columns[f"target_{name}"]
        tree[name] = rounded(mean(excess), 6)
    return tree


def _colour(columns: Columns, shots: npt.NDArray[np.integer], prefix: str, known: str) -> float:
    """Colour flicker of the columns of `prefix`, over the frames that those of `known` have."""
    seen = ~np.isnan(column(columns, f"{known}lab_l"))
    means = [column(columns, f"{prefix}lab_{c}")[seen] for c in "lab"]
    return temporal.colour_flicker(np.stack(means, axis=1), shots[seen])


def light_part(columns: Columns) -> Tree:
    """Illumination against the target's."""
    names = ("lab_mean_error", "lab_deviation_error", "shading_correlation")
    return {name: beside(columns, name) for name in names}


def crowd_part(features: dict[str, Sequence[Values]]) -> Tree:
    """FID and KID to the target's crops of the swap and of baselines, by prefix of the columns.

    Each with its 95 % interval for the swap, or the reason why there is no figure; of baselines
    the reasons stand apart, under "reasons".
    """
    found: dict[str, tuple[Estimate, Estimate]] = {}
    target = np.array(list(features.get("copied_", [])))
    for prefix in ("", *BASELINES):
        own, drawn = np.array(list(features.get(prefix, []))), RESAMPLES if prefix == "" else 0
        found[prefix] = (fid(own, target, drawn), kid(own, target, drawn))
    tree: Tree = {}
    for place, name in enumerate(("fid", "kid")):
        swap = found[""][place]
        tree[name] = {key: rounded(getattr(swap, key)) for key in ("value", "low", "high")}
        tree[name]["images"] = swap.images
        for prefix, word in BASELINES.items():
            tree[name][word] = rounded(found[prefix][place].value)
        if swap.reason:
            tree[name]["reason"] = swap.reason
        few = {word: found[prefix][place].reason for prefix, word in BASELINES.items()}
        tree[name]["reasons"] = {word: reason for word, reason in few.items() if reason}
    return tree
