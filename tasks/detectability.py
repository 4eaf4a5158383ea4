"""Stage `detectability`: how well a small detector tells the swaps of this project from footage.

In: data/traces/, of which the swaps in params.yaml are read. Out: metrics.json with the area under
the ROC curve of each swap, judged by a detector that never has seen its target clip. Nothing trains
on this figure or on what it is made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.contracts.documents import to_json
from likeness.contracts.params.detectability import DetectabilityParams
from likeness.contracts.sections import entry_names
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.traces import TRACES
from likeness.metrics.forensics.detector import Detector, Pairs
from likeness.metrics.forensics.folds import ONE_CLIP, Faces, Verdict, judge

DECIMALS = 4
PROTOCOL = "leave one target clip out; real faces are the target's, encoded as the render was"


def read_faces(path: Path) -> tuple[Faces, tuple[str, ...]]:
    """Measured faces of one swap, and the names of their features.

    Raises:
        TableError: no output of stage `traces`.
    """
    facts = TRACES.check(path)
    rows = TRACES.read(path)
    names = tuple(facts["features"])
    features = as_numpy(rows["features"], (len(names),)).reshape(-1, len(names)).astype(np.float64)
    swapped = as_numpy(rows["swapped"]).astype(bool)
    seconds = as_numpy(rows["second"]).astype(np.int64)[swapped]
    pairs = Pairs(features[~swapped], features[swapped], seconds)
    faces = Faces(facts["swap"], facts["clip"], pairs)
    return faces, names


def weights_of(detectors: Sequence[Detector], names: Sequence[str]) -> list[dict[str, Any]]:
    """Mean weight of each feature over the folds, the heaviest first; null without a detector."""
    if not detectors:
        return [{"feature": name, "weight": None} for name in names]
    mean = np.mean([detector.weights for detector in detectors], axis=0)
    found = {n: round(float(w), DECIMALS) + 0.0 for n, w in zip(names, mean, strict=True)}
    order = sorted(found, key=lambda name: (-abs(found[name]), name))
    return [{"feature": name, "weight": found[name]} for name in order]


def _figure(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def swap_part(faces: Faces, verdict: Verdict) -> dict[str, Any]:
    """What metrics.json says of one swap."""
    part: dict[str, Any] = {
        "auc": _figure(verdict.auc),
        "low": _figure(verdict.low),
        "high": _figure(verdict.high),
        "clip": faces.clip,
        "pairs": faces.count,
        "trained_clips": verdict.trained_clips,
        "trained_pairs": verdict.trained_pairs,
    }
    return part | ({"reason": verdict.reason} if verdict.reason else {})


def summary(swaps: Sequence[Faces], names: Sequence[str], l2: float) -> dict[str, Any]:
    """Content of metrics.json: `auc` is the mean over the swaps that have one."""
    verdicts, detectors = judge(swaps, l2)
    figures = [v.auc for v in verdicts.values() if v.auc is not None]
    found: dict[str, Any] = {
        "auc": _figure(float(np.mean(figures))) if figures else None,
        "clips": len({s.clip for s in swaps}),
        "protocol": PROTOCOL,
        "swaps": {s.swap: swap_part(s, verdicts[s.swap]) for s in swaps},
        # Lists, since `dvc metrics show` would make a column of each feature.
        "weights": weights_of(detectors, names),
    }
    if not figures:
        reasons = {v.reason for v in verdicts.values()} or {ONE_CLIP}
        found["reason"] = "; ".join(sorted(reasons))
    return found


def run(context: Context[DetectabilityParams]) -> None:
    """Read the traces of the swaps that there are now, judge, write."""
    read = [
        read_faces(context.inputs["traces"] / f"{swap}.parquet")
        for swap in sorted(entry_names("swaps", context.params_file))
    ]
    names = read[0][1] if read else ()
    found = summary([faces for faces, _ in read], names, context.params.l2)
    context.outputs["metrics"].write_text(to_json(found), encoding="utf-8")
    if "reason" in found:
        context.say(f"detectability: no figure: {found['reason']}")


STAGE = Stage(
    name="detectability",
    params=DetectabilityParams,
    inputs={"traces": None},
    outputs={"metrics": None},
    run=run,
    description="how well a small detector tells swapped faces from real ones",
)

if __name__ == "__main__":
    STAGE.main()
