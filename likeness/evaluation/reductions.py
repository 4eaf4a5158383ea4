"""How the frames of a clip become one figure: a function for every `Clip` of the catalogue.

Each takes the columns, the row, whose figure it is (a prefix of columns, "" for the swap) and the
shot of each frame; nan where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from likeness.metrics import expression, identity, temporal
from likeness.metrics.catalogue.baselines import COPIED, OWN
from likeness.metrics.catalogue.metric import Clip, Metric

Values = npt.NDArray[np.float64]
Columns = dict[str, Values]
Shots = npt.NDArray[np.integer]
Reduction = Callable[[Columns, Metric, str, Shots], float]


def rounded(value: float, decimals: int = 4) -> float | None:
    """Rounded, so that the file's bytes do not hang on the last bits; None for nan."""
    return None if not np.isfinite(value) else round(float(value), decimals) + 0.0


def mean(values: Values) -> float:
    """Mean of what was measured (not nan); nan if nothing was."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def column(columns: Columns, name: str) -> Values:
    """A column; one of nan where a baseline has none."""
    return columns.get(name, np.full(len(next(iter(columns.values()))), np.nan))


def own(columns: Columns, row: Metric, prefix: str) -> Values:
    """A row's column for the swap or a baseline; of the target copied, what the target has."""
    compared = prefix + row.column
    if prefix == COPIED.prefix and compared not in columns:
        compared = OWN + row.column
    return column(columns, compared)


def _mean(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    return mean(own(columns, row, prefix))


def _known(columns: Columns, row: Metric, prefix: str) -> Values:
    values = own(columns, row, prefix)
    return values[~np.isnan(values)]


def _least(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    return float(_known(columns, row, prefix).min(initial=np.inf))


def _largest(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    return float(_known(columns, row, prefix).max(initial=-np.inf))


def _count(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    return float(len(_known(columns, row, prefix)))


def _variance(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    return identity.variance(_known(columns, row, prefix))


def _share_above(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    """Share of frames whose value is above that of the column it is compared with."""
    measured = len(_known(columns, row, prefix))
    above = own(columns, row, prefix) > column(columns, prefix + row.against)
    return float(above.sum()) / measured if measured else float("nan")


def _share_over(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    """Share of frames beyond the row's limit: its column, or how far that is from the other."""
    values = own(columns, row, prefix)
    if row.against:
        values = np.abs(values - column(columns, row.against))
    known = values[~np.isnan(values)]
    return float((known > row.limit).mean()) if len(known) else float("nan")


def _apart(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    """Mean absolute difference to the column it is compared with."""
    return mean(np.abs(own(columns, row, prefix) - column(columns, row.against)))


def _follows(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    return expression.follows(own(columns, row, prefix), column(columns, row.against))


def _excess(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    """How much more than the target's own, on the same frames."""
    return mean(own(columns, row, prefix) - column(columns, row.against))


def _moving(columns: Columns, row: Metric, prefix: str, _: Shots) -> float:
    """Mean; the target's own flow differs from itself by nothing, wherever it was measured."""
    if prefix == COPIED.prefix:
        return mean(column(columns, "target_warping_error") * 0)
    return mean(own(columns, row, prefix))


def _colour(columns: Columns, prefix: str, known: str, shots: Shots) -> float:
    """Colour flicker of the columns of `prefix`, over the frames that those of `known` have."""
    seen = ~np.isnan(column(columns, f"{known}lab_l"))
    means = [column(columns, f"{prefix}lab_{c}")[seen] for c in "lab"]
    return temporal.colour_flicker(np.stack(means, axis=1), shots[seen])


def _colour_excess(columns: Columns, _: Metric, prefix: str, shots: Shots) -> float:
    """Colour flicker above the target's on the same frames."""
    of = OWN if prefix == COPIED.prefix else prefix
    return _colour(columns, of, of, shots) - _colour(columns, OWN, of, shots)


def _colour_own(columns: Columns, _row: Metric, _prefix: str, shots: Shots) -> float:
    return _colour(columns, OWN, OWN, shots)


OF_COLUMNS: dict[Clip, Reduction] = {
    "mean": _mean,
    "least": _least,
    "largest": _largest,
    "count": _count,
    "variance": _variance,
    "share_above": _share_above,
    "share_over": _share_over,
    "apart": _apart,
    "follows": _follows,
    "excess": _excess,
    "moving": _moving,
    "colour_excess": _colour_excess,
    "colour_own": _colour_own,
}
"""The rest is no matter of columns: "given" is known before, "fid" and "kid" are of features."""
