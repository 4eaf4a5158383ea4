"""Rows on what shows at the border of the face that was laid in."""

from __future__ import annotations

from likeness.metrics.catalogue.baselines import ALL, COPIED, FACES, PASTED
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
    Metric(
        name="visible_seam",
        unit="eye distances",
        better="lower",
        group="Seams",
        path="seams.visible_seam.mean",
        columns=FACE,
        baselines=ALL,
        around=True,
        line=Line("Border, visible length", "with an edge that the target lacks, eye distances",
                  ".2f", 0.05, at=104),
        curve=Curve(Chart("Border, visible length",
                          "eye distances with an edge that the target lacks, lower is better",
                          0.0, at=122), beside=(PASTED.prefix,)),
        worst=Worst("edge", "Longest visible edge along the border",
                    "{visible_seam:.2f} eye distances", at=72),
        meaning=Meaning(
            "length of the mask's outline along which, up to 20 px of a view inside, a slope of "
            "Lab across it is steeper by 1.5 a px than any of the target's within 4 px; brows, "
            "eyes, nose and lips left out; eye distances",
            "colours told apart from 2.3 Lab (Mahy et al. 1994)",
            "itself 0; a step of 20 round a square: its perimeter; where the target has it: 0",
            "edges that fade over many px; a beard or a fringe of the source, which counts",
        ),
    ),
    Metric(
        name="shade_mismatch",
        unit="Lab",
        better="lower",
        group="Seams",
        path="seams.shade_mismatch.mean",
        columns=FACE,
        baselines=ALL,
        around=True,
        line=Line("Border, shade", "of the rim, Lab from the target's own where it is worst",
                  ".1f", 0.3, at=106),
        curve=Curve(Chart("Border, shade", "Lab from the target's own, lower is better", 0.0,
                          at=124), beside=(PASTED.prefix,)),
        worst=Worst("shade", "Shade at the border furthest from the target's",
                    "{shade_mismatch:.1f} Lab", at=74),
        meaning=Meaning(
            "difference of Lab to the target over a rim inside the outline, low-passed along it; "
            "90th percentile over the outline",
            "CIE 1976",
            "itself 0; 10 brighter: 10; one side alone: more than its mean",
            "a wrong shade that the whole face has apart from its rim: `colour_shift` does",
        ),
    ),
    Metric(
        name="coverage",
        better="higher",
        group="Seams",
        path="coverage.mean",
        columns=Columns("pair", at=190),
        around=True,
        line=Line("Coverage", "share of the face's oval that is replaced", ".3f", 0.01, at=108),
        curve=Curve(Chart("Coverage", "share of the face's oval that is replaced", at=126)),
        worst=Worst("coverage", "Least of the face replaced", "{coverage:.2f} of the oval", at=76),
        meaning=Meaning(
            "share of the oval of the target's mesh that the mask replaces",
            "",
            "all of it 1; half of it 0.5",
            "hands and hair that rightly stay in front",
        ),
    ),
)  # fmt: skip
