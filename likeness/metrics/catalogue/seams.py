"""Rows on what shows at the border of the face that was laid in."""

from __future__ import annotations

from likeness.metrics.catalogue.baselines import ALL, COPIED, FACES
from likeness.metrics.catalogue.metric import Chart, Columns, Curve, Line, Meaning, Metric, Worst

FACE = Columns("pair", FACES)
BESIDE = (COPIED.prefix,)

ROWS = (
    Metric(
        name="boundary_delta_e",
        unit="ΔE 2000",
        better="target",
        group="Seams",
        path="seams.boundary_delta_e.mean",
        columns=FACE,
        baselines=ALL,
        around=True,
        line=Line("Border, colour", "step across it, ΔE 2000", ".2f", 0.3, at=90),
        curve=Curve(Chart("Border", "colour step ΔE 2000, near the target's is better", at=50),
                    beside=BESIDE),
        worst=Worst(
            "seam", "Border that shows most",
            "ΔE {boundary_delta_e:.1f}, target {copied_boundary_delta_e:.1f}", at=70,
        ),
        meaning=Meaning(
            "CIEDE2000 step across the mask's outline, local on both sides",
            "Sharma et al. 2005",
            "a tint raises it; one side alone less",
            "a step that faces have by nature: compare with `target_copied`",
        ),
        plotted=40,
    ),
    Metric(
        name="gradient_ratio",
        better="target",
        group="Seams",
        path="seams.gradient_ratio.mean",
        columns=FACE,
        baselines=ALL,
        around=True,
        line=Line("Border, edges", "gradient energy against both sides", ".2f", 0.05, at=100),
        curve=Curve(Chart("Border, edges",
                          "gradient energy against both sides, near the target's is better",
                          at=120), beside=BESIDE),
        meaning=Meaning(
            "gradient energy on the outline against the rings inside and outside",
            "",
            "noise 1; a cut over 3; a smear under 0.7",
            "which of two edges it is",
        ),
    ),
)  # fmt: skip
