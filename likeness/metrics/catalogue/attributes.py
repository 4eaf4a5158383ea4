"""Rows on what the swap should keep of the target's face: pose, expression, gaze, light, colour."""

from __future__ import annotations

from likeness.metrics.catalogue.baselines import ALL, FACES, OWN, PASTED
from likeness.metrics.catalogue.metric import Chart, Columns, Curve, Line, Meaning, Metric, Worst

FACE = Columns("pair", FACES)
BESIDE = (PASTED.prefix,)
MESH = Chart(
    "Landmarks and expression", "eye distances from the target's, lower is better", 0.0, at=40
)
ANGLES = Chart("Angles", "degrees from the target's, lower is better", 0.0, at=100)


def _angle(name: str, at: int) -> Metric:
    return Metric(
        name=f"{name}_error_deg",
        unit="degrees",
        better="lower",
        group="Attributes",
        path=f"pose_error_deg.{name}",
        columns=Columns("pair", at=at),
        curve=Curve(ANGLES, name),
    )


def _own_angle(name: str, at: int) -> Metric:
    columns = Columns("angle", at=at)
    return Metric(f"target_{name}_deg", "", "Attributes", unit="degrees", columns=columns,
                  drawn=False)  # fmt: skip


def _unit(name: str, what: str, at: int, worst: Worst | None = None) -> tuple[Metric, Metric]:
    """An action unit: how far from the target's, and whether it follows that over the frames."""
    words = name.replace("_", " ")
    chart = Chart(words.capitalize(), "eye distances; following the target is better", at=at)
    apart = Metric(
        name=name,
        unit="eye distances",
        better="lower",
        group="Attributes",
        path=f"action_units.{name}.mean",
        clip="apart",
        against=f"{OWN}{name}",
        columns=Columns("unit", (OWN, PASTED.prefix)),
        baselines=ALL,
        line=Line(f"Action units: {words}", form=".4g", at=at + 1000),
        curve=Curve(chart, beside=(OWN, PASTED.prefix)),
        worst=worst,
        meaning=Meaning(
            f"distance {what}, eye distances: mean difference to the target's",
            "stands in for FACS (Ekman and Friesen 1978), not a coder",
            "opening by 0.2: 0.2; turned: 0",
            "cheeks, nose, tongue",
        ),
    )
    follows = Metric(
        name=f"{name}_correlation",
        better="higher",
        group="Attributes",
        path=f"action_units.{name}.correlation",
        clip="follows",
        column=name,
        against=f"{OWN}{name}",
        meaning=Meaning("its correlation over frames with the target's", "", "scaled: 1"),
    )
    return apart, follows


EYES = Worst(
    "eyes", "Eyes open or closed unlike the target's",
    "open {eye_open:.3f}, target {target_eye_open:.3f}", at=50,
)  # fmt: skip
MOUTH = Worst(
    "mouth", "Mouth open or closed unlike the target's",
    "open {mouth_open:.3f}, target {target_mouth_open:.3f}", at=60,
)  # fmt: skip
UNITS = (
    *_unit("mouth_open", "between the inner lips (AU 25, 26, 27)", 170, MOUTH),
    *_unit("mouth_width", "between the corners of the mouth (AU 18, 20)", 180),
    *_unit("smile", "of the mouth's corners above its middle (AU 12, 15)", 190),
    *_unit("brow_raise", "of the brows above the eyes (AU 1, 2, 4)", 200),
    *_unit("brow_furrow", "between the inner ends of the brows (AU 4)", 210),
    *_unit("eye_open", "between upper and lower lid, mean of both eyes (AU 5, 43, 45)", 220, EYES),
)
GEOMETRY = (
    Metric(
        name="pose_error_deg",
        unit="degrees",
        better="lower",
        group="Attributes",
        path="pose_error_deg.mean",
        columns=FACE,
        baselines=ALL,
        line=Line("Head pose", "degrees from the target's", ".2f", 0.2, at=50, key=True),
        curve=Curve(Chart("Head pose", "degrees from the target's, lower is better", 0.0, at=30),
                    beside=BESIDE),
        worst=Worst("pose", "Head turned another way than the target",
                    "{pose_error_deg:.1f}° off", at=20),
        meaning=Meaning(
            "length of the difference in yaw, pitch, roll; degrees",
            "PnP on the mesh, the network-free stand-in for Hopenet (Ruiz et al. 2018)",
            "(3, 0, 4) apart: 5",
            "small turns of the mesh by another face's shape",
        ),
        plotted=90,
    ),
    _angle("yaw", 50),
    _angle("pitch", 60),
    _angle("roll", 70),
    _own_angle("yaw", 80),
    _own_angle("pitch", 90),
    _own_angle("roll", 100),
    Metric(
        name="landmark_error",
        unit="eye distances",
        better="lower",
        group="Attributes",
        path="landmark_error.mean",
        columns=FACE,
        baselines=ALL,
        line=Line("Landmarks", "eye distances from the target's", least=0.002, at=60),
        curve=Curve(MESH, "landmarks"),
        meaning=Meaning(
            "mean distance of 468 points, eye distances",
            "NME (Sagonas et al. 2013)",
            "shift by (0.3, 0.4): 0.5; turn by 5 degrees: by hand",
            "shape from motion",
        ),
        plotted=80,
    ),
    Metric(
        name="expression_error",
        unit="eye distances",
        better="lower",
        group="Attributes",
        path="expression_error.mean",
        columns=FACE,
        baselines=ALL,
        line=Line("Expression", "the same without pose, place, size", least=0.002, at=70, key=True),
        curve=Curve(MESH, "expression"),
        worst=Worst("expression", "Expression furthest from the target",
                    "{expression_error:.3f} eye distances", at=30),
        meaning=Meaning(
            "the same after pose, place and size are fitted on rigid vertices",
            "Umeyama 1991",
            "turned and enlarged: 0; four points moved: by hand",
            "whether a smile or a face differs: shape is in it",
        ),
        plotted=70,
    ),
)  # fmt: skip
OPENINGS = (
    Metric(
        name="eye_gap",
        unit="eye widths",
        better="lower",
        group="Attributes",
        path="eye_gap.mean",
        columns=FACE,
        baselines=ALL,
        line=Line("Eyes, opening", "eye widths from the target's, by the iris network",
                  least=0.005, at=84),
        curve=Curve(Chart("Eyes, opening", "eye widths from the target's, lower is better", 0.0,
                          at=132), beside=BESIDE),
        worst=Worst("lids", "Eyes open or shut unlike the target's, by the iris network",
                    "{eye_gap:.3f} eye widths off", at=52),
        meaning=Meaning(
            "difference of the lids' distance to the target's, the eye that is further off; eye "
            "widths",
            "contour of the iris network (Ablavatski et al. 2020)",
            "by hand; itself 0",
            "an eye that is shut with its lashes drawn on the lid",
        ),
    ),
    Metric(
        name="eyes_unlike",
        better="lower",
        group="Attributes",
        path="eye_gap.unlike",
        clip="share_over",
        column="eye_gap",
        limit=0.1,
        meaning=Meaning("share of frames where that is above 0.1", "", "by hand"),
    ),
    Metric(
        name="mouth_unlike",
        better="lower",
        group="Attributes",
        path="action_units.mouth_open.unlike",
        clip="share_over",
        column="mouth_open",
        against=f"{OWN}mouth_open",
        limit=0.08,
        meaning=Meaning(
            "share of frames whose mouth is opened unlike the target's by more than 0.08 eye "
            "distances",
            "",
            "by hand",
        ),
    ),
)  # fmt: skip
GAZE = (
    Metric(
        name="gaze_error",
        unit="eye widths",
        better="lower",
        group="Attributes",
        path="gaze_error.mean",
        columns=FACE,
        baselines=ALL,
        line=Line("Gaze", "eye widths from the target's, by the iris", at=80),
        curve=Curve(Chart("Gaze", "eye widths from the target's, lower is better", 0.0, at=130),
                    beside=BESIDE),
        worst=Worst("gaze", "Eyes that look elsewhere than the target's",
                    "{gaze_error:.3f} eye widths off", at=40),
        meaning=Meaning(
            "distance of the irises' places between the corners of the eye, eye widths; closed "
            "eyes count for nothing",
            "iris network (Ablavatski et al. 2020)",
            "see below",
            "degrees; where the eyes meet",
        ),
        plotted=60,
    ),
    Metric(
        name="gaze_frames",
        better="",
        group="Attributes",
        path="gaze_error.frames",
        unit="frames",
        clip="count",
        column="gaze_error",
        decimals=0,
    ),
)  # fmt: skip
