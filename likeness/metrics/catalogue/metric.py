"""What is known of a metric: one row says all of it, and everything that names metrics reads rows.

Imports no arrays, so that the command line reads the same rows as the stage. The function that
measures a row stands in `likeness.metrics.measures` under the row's `column`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "target", ""]
"""Which way a value is better; "target": as near to the target copied as can be; "": neither."""
Group = Literal["Identity", "Attributes", "Fidelity", "Time", "Seams"]
"""Sections of docs/evaluation.md."""
Of = Literal[
    "person", "mesh", "pair", "unit", "colour", "angle", "outside", "sampled", "motion", "run"
]
"""What a column is measured of, and with that where:

person: embeddings, once all faces are known (evaluation.stream)
mesh: the mesh network's answer, wherever it is asked
pair: a picture of a face against the target's; the render and every baseline
unit, colour, angle: a picture of a face alone; units of all, colours of render, target and runs,
    angles of the target
outside, sampled: whole frames and what the mask touches; every frame, or those with a measured face
motion: a frame and the one before
run: three meshes in a row
"""
Clip = Literal[
    "mean", "least", "largest", "count", "variance", "share_above", "share_over", "apart",
    "follows", "excess", "moving", "colour_excess", "colour_own", "given",
    "fid", "kid", "fid_source", "kid_source",
]  # fmt: skip
"""How the frames of a clip become one figure of metrics.json (evaluation.reductions)."""
LAST = 1000
"""Place of what states none: after all that do, in the order of the rows."""


@dataclass(frozen=True)
class Columns:
    """Columns of per_frame.parquet.

    Attributes:
        of: what is measured.
        beside: prefixes under which it has columns, too, beside the swap's own.
        at: place among the columns that have none beside them.
    """

    of: Of
    beside: tuple[str, ...] = ()
    at: int = LAST


@dataclass(frozen=True)
class Line:
    """How a figure stands in the table of every page.

    Attributes:
        label: what people call it.
        hint: what it means, in a few words.
        form: of the value.
        least: smallest difference between two runs that anybody would see or act on.
        at: place in the table.
        key: also on the index and in `likeness experiments`.
    """

    label: str
    hint: str = ""
    form: str = ".3f"
    least: float = 0.005
    at: int = LAST
    key: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawing over the frames, of one metric or of several that belong together.

    Attributes:
        title, hint: above it.
        floor: a y that must be visible.
        at: place on the page.
    """

    title: str
    hint: str
    floor: float | None = None
    at: int = LAST


@dataclass(frozen=True)
class Curve:
    """A metric's line in a chart.

    Attributes:
        chart: where.
        label: of the swap's own line.
        beside: prefixes of columns that are drawn, too.
    """

    chart: Chart
    label: str = "swap"
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Worst:
    """Why a frame is shown among the worst.

    Attributes:
        key: short name.
        title: heading.
        text: below the frame, with the frame's scores by column.
        times: the scores are written multiplied by this.
        at: place among the headings.
    """

    key: str
    title: str
    text: str
    times: float = 1.0
    at: int = LAST

    def written(self, scores: Mapping[str, float]) -> str:
        """The text with the scores of a frame."""
        return self.text.format(**{name: self.times * value for name, value in scores.items()})


@dataclass(frozen=True)
class Meaning:
    """A line of docs/evaluation.md.

    Attributes:
        formula: with its unit.
        source: paper or standard; "" for none.
        answer: a known answer that a test holds it to.
        blind: what it cannot tell.
    """

    formula: str
    source: str = ""
    answer: str = ""
    blind: str = ""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: short, what a gate may call it.
        unit: of its value; "" for a ratio, cosine or correlation.
        better: which way.
        group: section of the docs.
        path: where its figure stands in metrics.json, dotted; "" for a column without a figure.
        clip: how frames become that figure.
        column: of per_frame.parquet that the figure is made from; `name` if left out.
        against: the column that it is compared with, frame by frame.
        limit: of "share_over": from which value on a frame counts.
        columns: what this row adds to per_frame.parquet; None: the column is another row's.
        baselines: prefixes of the baselines that have the figure, too.
        decimals: of the figure; 0 for a whole number.
        around: says something about what lies around a face that was laid in.
        stage: whose metrics.json it stands in.
        aliases: further short names.
        line, curve, worst, meaning: how people see it; None: not there.
        drawn: columns without `curve` get a chart of their own, unless this is False.
        plotted: place in curves.csv, which `dvc plots` draws; None: not there.
    """

    name: str
    better: Better
    group: Group
    path: str = ""
    unit: str = ""
    clip: Clip = "mean"
    column: str = ""
    against: str = ""
    limit: float = 0.0
    columns: Columns | None = None
    baselines: tuple[str, ...] = ()
    decimals: int = 4
    around: bool = False
    stage: str = "evaluate"
    aliases: tuple[str, ...] = ()
    line: Line | None = None
    curve: Curve | None = None
    worst: Worst | None = None
    meaning: Meaning | None = None
    drawn: bool = True
    plotted: int | None = None

    def __post_init__(self) -> None:
        if not self.column:
            object.__setattr__(self, "column", self.name)

    def badness(self, scores: Mapping[str, float]) -> float:
        """How bad a frame with these scores by column is; nan: that is not known."""
        value = scores.get(self.column, math.nan)
        if self.better == "target":
            return value - scores.get(f"copied_{self.column}", math.nan)
        if self.against:
            value -= scores.get(self.against, math.nan)
        if self.clip == "apart":
            value = abs(value)
        return -value if self.better == "higher" else value
