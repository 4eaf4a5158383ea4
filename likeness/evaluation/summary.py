"""From columns of scores to metrics.json, and verdicts on its numbers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.evaluation.gates import Tree, leaves, verdicts
from likeness.evaluation.per_frame import SCORES
from likeness.evaluation.reductions import OF_COLUMNS, Columns, Shots, mean, rounded
from likeness.metrics.catalogue import CENTRES, METRICS
from likeness.metrics.catalogue.baselines import BASELINES, COPIED
from likeness.metrics.catalogue.metric import Clip, Metric
from likeness.metrics.distributions import RESAMPLES, Estimate, fid, kid

__all__ = ["Columns", "Tree", "blank", "leaves", "mean", "rounded", "summarise", "verdicts"]
Values = npt.NDArray[np.float64]
Features = Mapping[str, Sequence[Values]]
SOURCE = "source"
"""Key of the source's own features, beside the prefixes of columns."""
KEYS = {baseline.prefix: baseline.key for baseline in BASELINES}
CROWDS: dict[Clip, tuple[str, int]] = {
    "fid": (COPIED.prefix, 0),
    "kid": (COPIED.prefix, 1),
    "fid_source": (SOURCE, 0),
    "kid_source": (SOURCE, 1),
}
"""Distances of crowds -> to whose crops, and which of `distributions`: FID, KID."""


def summarise(
    columns: Columns,
    shots: Shots,
    source_itself: float,
    second_itself: float = np.nan,
    features: Features | None = None,
) -> Tree:
    """All of metrics.json that is measured; null where there was no face.

    Args:
        columns: scores by name, (T,) with nan where not measured.
        shots: (T,) shot of each frame.
        source_itself: cosine of the source's own faces to their gallery, the best to be had.
        second_itself: the same by the second embedder.
        features: by prefix of the columns, (C,) of each measured crop, for FID and KID; those of
            the source's own crops under `SOURCE`.
    """
    itself = {"identity_source_itself": source_itself, "independent_source_itself": second_itself}
    measured = Figures(columns, shots, itself, _crowds(features or {}))
    tree: Tree = {}
    rows = [row for row in METRICS if row.path]
    for _, section in itertools.groupby(rows, key=lambda row: row.path.partition(".")[0]):
        _write(tree, list(section), measured)
    return tree


@dataclass(frozen=True)
class Figures:
    """What figures are made from.

    Attributes:
        columns, shots: of `summarise`.
        given: figures that are known before, by name of their row.
        crowds: FID and KID to the target's and the source's crops, by prefix of the columns.
    """

    columns: Columns
    shots: Shots
    given: Mapping[str, float]
    crowds: Mapping[str, Mapping[str, tuple[Estimate, Estimate]]]

    def figure(self, row: Metric, prefix: str) -> float | int | None:
        """The figure of the swap ("") or of a baseline; None where nothing was measured."""
        if row.clip == "given":
            return rounded(self.given[row.name], row.decimals)
        if row.clip in CROWDS:
            return rounded(self._estimates(row)[prefix].value, row.decimals)
        value = rounded(OF_COLUMNS[row.clip](self.columns, row, prefix, self.shots), row.decimals)
        return int(value) if row.decimals == 0 and value is not None else value

    def _estimates(self, row: Metric) -> dict[str, Estimate]:
        """FID or KID by prefix."""
        whose, place = CROWDS[row.clip]
        return {prefix: pair[place] for prefix, pair in self.crowds[whose].items()}

    def more(self, row: Metric) -> Tree:
        """What stands beside the figure of FID or KID: its 95 % interval and images."""
        if row.clip not in CROWDS:
            return {}
        swap = self._estimates(row)[""]
        ends = {end: rounded(getattr(swap, end), row.decimals) for end in ("low", "high")}
        return ends | {"images": swap.images}

    def reasons(self, row: Metric) -> Tree:
        """Why FID or KID has no figure; of baselines the reasons stand apart."""
        if row.clip not in CROWDS:
            return {}
        found = {prefix: one.reason for prefix, one in self._estimates(row).items()}
        tree: Tree = {"reason": found[""]} if found[""] else {}
        return tree | {"reasons": {KEYS[p]: why for p, why in found.items() if p and why}}


def _write(tree: Tree, section: Sequence[Metric], measured: Figures) -> None:
    """Write the rows of one key: figures with the baselines beside them, then those below."""
    for row in section:
        _put(tree, row.path, measured.figure(row, ""))
        parent, _, leaf = row.path.rpartition(".")
        for name, value in measured.more(row).items():
            _put(tree, f"{parent}.{name}", value)
        for prefix in row.baselines if leaf in CENTRES else ():
            _put(tree, f"{parent}.{KEYS[prefix]}", measured.figure(row, prefix))
        for name, value in measured.reasons(row).items():
            _put(tree, f"{parent}.{name}", value)
    for row in section:
        parent, _, leaf = row.path.rpartition(".")
        for prefix in () if leaf in CENTRES else row.baselines:
            _put(tree, f"{parent}.{KEYS[prefix]}.{leaf}", measured.figure(row, prefix))


def _put(tree: Tree, path: str, value: Any) -> None:
    """Set the value at a dotted path."""
    *above, leaf = path.split(".")
    for key in above:
        tree = tree.setdefault(key, {})
    tree[leaf] = value


def _crowds(features: Features) -> dict[str, dict[str, tuple[Estimate, Estimate]]]:
    """FID and KID to the target's crops and to the source's: swap with intervals, baselines."""
    found: dict[str, dict[str, tuple[Estimate, Estimate]]] = {}
    for whose in (COPIED.prefix, SOURCE):
        other, found[whose] = np.array(list(features.get(whose, []))), {}
        for prefix in ("", *KEYS):
            own, drawn = np.array(list(features.get(prefix, []))), RESAMPLES if prefix == "" else 0
            found[whose][prefix] = (fid(own, other, drawn), kid(own, other, drawn))
    return found


def blank() -> Columns:
    """Scores of no frames."""
    return {name: np.zeros(0) for name in SCORES}
