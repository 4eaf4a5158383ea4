"""Rows on what changes over time; figures of the swap stand above the target's own."""

from __future__ import annotations

from likeness.metrics.catalogue.baselines import ALL, OWN
from likeness.metrics.catalogue.metric import Chart, Columns, Curve, Line, Meaning, Metric, Worst

NEAR = "near the target's is better"

ROWS = (
    Metric(
        name="identity_variance",
        better="lower",
        group="Time",
        path="flicker.identity_variance",
        clip="variance",
        column="identity_source",
        baselines=ALL,
        decimals=6,
        line=Line("Identity over time", "variance of the cosine to the source", ".4f", 0.0005,
                  at=210),
        meaning=Meaning(
            "variance of the per-frame cosine", "IDBench-V", "by hand", "slow drift from flicker"
        ),
    ),
    Metric(
        name="colour_flicker",
        unit="Lab",
        better="lower",
        group="Time",
        path="flicker.colour",
        clip="colour_excess",
        column="lab_l",
        baselines=ALL,
        line=Line("Colour flicker", "Lab, above the target's", least=0.02, at=230),
        meaning=Meaning(
            "deviation of the mean Lab around its shot's mean; minus the target's",
            "",
            "steady 0; two levels up and down: 2; a cut alone: 0",
            "where it flickers",
        ),
    ),
    Metric(
        name="flow_difference_px",
        unit="px",
        better="lower",
        group="Time",
        path="flicker.flow_difference_px",
        clip="moving",
        columns=Columns("motion", at=180),
        baselines=ALL,
        aliases=("tof",),
        line=Line("Flow", "px from the target's motion", least=0.02, at=250),
        curve=Curve(Chart("Motion", "flow in px from the target's, lower is better", 0.0, at=90)),
        meaning=Meaning(
            "mean length of flow(render) - flow(target) inside the mask, px (tOF)",
            "TecoGAN (Chu et al. 2020) with DIS flow (Kroeger et al. 2016)",
            "itself 0; shift found",
            "flow's own errors on smooth skin",
        ),
    ),
    Metric(
        name="landmark_jitter",
        unit="eye distances",
        better="lower",
        group="Time",
        path="flicker.landmark_jitter",
        clip="excess",
        against="target_landmark_jitter",
        columns=Columns("run", at=140),
        baselines=ALL,
        decimals=6,
        line=Line("Jitter", "of the mesh, above the target's", ".4f", 0.0005, at=220),
        curve=Curve(
            Chart("Jitter", f"second difference of the mesh in eye distances, {NEAR}", 0.0, at=80),
            beside=(OWN,),
        ),
        meaning=Meaning(
            "second difference of the mesh over three frames, eye distances; minus the target's",
            "",
            "even motion 0; one shaken frame by hand",
            "jitter that target and swap share",
        ),
    ),
    Metric(
        name="warping_error",
        better="lower",
        group="Time",
        path="flicker.warping_error",
        clip="excess",
        against="target_warping_error",
        columns=Columns("motion", at=160),
        baselines=ALL,
        decimals=6,
        line=Line("Warping error", "above the target's", ".5f", 0.0002, at=240, key=True),
        curve=Curve(
            Chart("Warping error", f"squared difference along the flow, {NEAR}", 0.0, at=70),
            beside=(OWN,),
        ),
        worst=Worst(
            "flicker", "Moves least like the target",
            "{warping_error:.2f}, target {target_warping_error:.2f} (x1000)", 1e3, at=110,
        ),
        meaning=Meaning(
            "mean squared difference to the frame before, carried along the target's flow; "
            "occlusion by forward and backward flow (1 px); minus the target's",
            "Lai et al. 2018",
            "brighter by 20: (20/255)^2",
            "slow drift",
        ),
    ),
    Metric(
        name="target_colour_flicker",
        unit="Lab",
        better="",
        group="Time",
        path="flicker.colour_target",
        clip="colour_own",
        column="target_lab_l",
        meaning=Meaning("what the target's own colour does"),
    ),
    Metric(
        name="target_landmark_jitter",
        unit="eye distances",
        better="",
        group="Time",
        path="flicker.landmark_jitter_target",
        columns=Columns("run", at=150),
        decimals=6,
        meaning=Meaning("the target's own jitter"),
    ),
    Metric(
        name="target_warping_error",
        better="",
        group="Time",
        path="flicker.warping_error_target",
        columns=Columns("motion", at=170),
        decimals=6,
        meaning=Meaning("the target's own"),
    ),
)  # fmt: skip
