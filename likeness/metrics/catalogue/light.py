"""Rows on the light and the colour of the face."""

from __future__ import annotations

from likeness.metrics.catalogue.baselines import ALL, FACES, OWN, PASTED
from likeness.metrics.catalogue.metric import Chart, Columns, Curve, Line, Meaning, Metric, Worst

FACE = Columns("pair", FACES)
LIGHT = Chart("Light", "Lab from the target's, lower is better", 0.0, at=140)
LIGHTNESS = Chart(
    "Lightness of the face", "Lab L inside the mask; parallel lines do not flicker", at=60
)
SHADING = Chart("Light, shading", "correlation with the target's, higher is better", at=150)


def _channel(name: str, prefix: str, at: int) -> Metric:
    """Mean Lab inside the mask; what the flicker of colour is made from."""
    curve = Curve(LIGHTNESS, beside=(OWN,)) if (name, prefix) == ("l", "") else None
    columns = Columns("colour", at=at)
    return Metric(f"{prefix}lab_{name}", "", "Attributes", unit="Lab", columns=columns,
                  curve=curve, drawn=name == "l")  # fmt: skip


ROWS = (
    Metric(
        name="lab_mean_error",
        unit="Lab",
        better="lower",
        group="Attributes",
        path="illumination.lab_mean_error.mean",
        columns=FACE,
        baselines=ALL,
        line=Line("Light, mean", "Lab inside the mask", ".2f", 0.3, at=120),
        curve=Curve(LIGHT, "mean"),
        meaning=Meaning(
            "length of the difference of mean Lab inside the mask",
            "CIE 1976; sRGB by IEC 61966-2-1",
            "published Lab of the primaries; 7 brighter: 7",
            "where it differs",
        ),
    ),
    Metric(
        name="lab_deviation_error",
        unit="Lab",
        better="lower",
        group="Attributes",
        path="illumination.lab_deviation_error.mean",
        columns=FACE,
        baselines=ALL,
        line=Line("Light, contrast", "deviation of Lab inside the mask", ".2f", 0.3, at=130),
        curve=Curve(LIGHT, "contrast"),
        meaning=Meaning(
            "the same of the deviation: contrast",
            "CIE 1976",
            "7 brighter: 0; half the contrast: half the deviation",
            "where it differs",
        ),
    ),
    Metric(
        name="shading_correlation",
        better="higher",
        group="Attributes",
        path="illumination.shading_correlation.mean",
        columns=FACE,
        baselines=ALL,
        line=Line(
            "Light, shading", "correlation of soft shading with the target's", least=0.01, at=140
        ),
        curve=Curve(SHADING, beside=(PASTED.prefix,)),
        worst=Worst("shading", "Light from another side than on the target",
                    "shading correlates by {shading_correlation:.2f}", at=90),
        meaning=Meaning(
            "correlation of the low-passed lightness over the mask",
            "normalised convolution (Knutsson and Westin 1993)",
            "itself 1; lit from the other side -1",
            "small shadows",
        ),
    ),
    *(_channel(name, "", 110 + place) for place, name in enumerate("lab")),
    *(_channel(name, OWN, 120 + place) for place, name in enumerate("lab")),
)  # fmt: skip
COLOUR = (
    Metric(
        name="colour_shift",
        unit="ΔE 2000",
        better="lower",
        group="Attributes",
        path="colour_shift.mean",
        columns=Columns("pair", at=130),
        baselines=ALL,
        line=Line("Colour", "mean inside the mask, ΔE 2000 to the target's", least=0.3, at=110),
        curve=Curve(Chart("Colour", "mean inside the mask, ΔE 2000 to the target's", 0.0, at=110)),
        worst=Worst("colour", "Colour furthest from the target", "ΔE {colour_shift:.1f}", at=80),
        meaning=Meaning(
            "CIEDE2000 of the mean colours inside the mask",
            "Sharma et al. 2005",
            "published pairs",
            "where it differs",
        ),
        plotted=30,
    ),
)
