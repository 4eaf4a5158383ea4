"""The catalogue: every metric is one row, and whatever names metrics is derived from the rows.

Columns of per_frame.parquet, figures of metrics.json, the table of every page, charts, worst
frames, curves.csv, the names that gates know and the tables of docs/evaluation.md all come from
here (docs/how-to/add-a-metric.md). Imports no arrays.
"""

from __future__ import annotations

from likeness.metrics.catalogue import attributes, fidelity, identity, light, over_time, seams
from likeness.metrics.catalogue.baselines import BASELINES, FACES, OWN, PASTED
from likeness.metrics.catalogue.metric import Metric, Of

METRICS: tuple[Metric, ...] = (
    *identity.ROWS,
    *attributes.GEOMETRY,
    *attributes.UNITS,
    *attributes.GAZE,
    *attributes.OPENINGS,
    *light.ROWS,
    *fidelity.ROWS,
    *over_time.ROWS,
    *seams.ROWS,
    *light.COLOUR,
)
"""Rows of stage `evaluate`, in the order of metrics.json."""
ELSEWHERE = {row.stage: row for row in identity.ELSEWHERE}
"""Rows of stages over all swaps, by stage."""
CENTRES = ("mean", "value")
"""Leaves of a path that stand for their metric: `expression_error` is `expression_error.mean`."""


def measured(of: Of) -> tuple[str, ...]:
    """Columns measured of one kind of thing."""
    return tuple(row.column for row in METRICS if row.columns is not None and row.columns.of == of)


def column_names() -> tuple[str, ...]:
    """Columns of per_frame.parquet, in their order: those alone first, then those with others."""
    rows = [(row.column, row.columns) for row in METRICS if row.columns is not None]
    alone = sorted(((c.at, name) for name, c in rows if not c.beside), key=lambda pair: pair[0])
    faces = [name for name, columns in rows if columns.beside == FACES]
    units = [name for name, columns in rows if columns.beside == (OWN, PASTED.prefix)]
    return (
        *(name for _, name in alone),
        *faces,
        *(prefix + name for prefix in ("", OWN, PASTED.prefix) for name in units),
        *(prefix + name for prefix in FACES for name in faces),
    )


def short_names() -> dict[str, str]:
    """Short name -> path in metrics.json, of rows whose path does not begin with their name."""
    found: dict[str, str] = {}
    for row in METRICS:
        apart = row.path not in ("", *(f"{row.name}.{centre}" for centre in CENTRES))
        found |= {row.name: row.path} if apart else {}
        found |= dict.fromkeys(row.aliases, row.path)
    return found


def plotted() -> tuple[str, ...]:
    """Columns of curves.csv; the last is what `dvc plots` draws unless told otherwise."""
    found = [(row.plotted, row.column) for row in METRICS if row.plotted is not None]
    return tuple(column for _, column in sorted(found))


def around() -> tuple[Metric, ...]:
    """Rows on what lies around a face that was laid in."""
    return tuple(row for row in METRICS if row.around)


def by_path(path: str) -> Metric | None:
    """The row of a path in metrics.json; None if no row has it."""
    return next((row for row in METRICS if row.path == path), None)


def baseline_keys() -> tuple[str, ...]:
    """Keys of the baselines in metrics.json, in the order of their columns in a table."""
    return tuple(row.key for row in sorted(BASELINES, key=lambda row: row.at))
