"""Rows on who the face is."""

from __future__ import annotations

from likeness.metrics.catalogue.baselines import ALL, FACES, PASTED
from likeness.metrics.catalogue.metric import Chart, Columns, Curve, Line, Meaning, Metric, Worst

BY_PACK = Chart("Identity", "cosine; to the source higher is better", 0.0, at=10)
BY_JUDGE = Chart(
    "Identity, second opinion", "cosine by an embedder that nothing else uses", 0.0, at=20
)
PERSON = Columns("person", FACES)
SECOND = "the same by an embedder that nothing else uses"
BESIDE = (PASTED.prefix,)

ROWS = (
    Metric(
        name="identity_cosine",
        better="higher",
        group="Identity",
        path="identity_cosine.source",
        column="identity_source",
        columns=PERSON,
        baselines=ALL,
        line=Line(
            "Identity: source", "cosine to the source's gallery", least=0.01, at=10, key=True
        ),
        curve=Curve(BY_PACK, "to source", BESIDE),
        worst=Worst(
            "identity", "Least like the source", "cosine {identity_source:.2f} to the source", at=10
        ),
        meaning=Meaning(
            "cosine of the face's embedding to the unit mean of the source's clean, held-out faces",
            "ArcFace (Deng et al. 2019); template of IJB (Klare et al. 2015)",
            "itself 1, orthogonal 0, negated -1",
            "whether a person would be fooled; partly its own echo",
        ),
        plotted=110,
    ),
    Metric(
        name="identity_cosine_target",
        better="lower",
        group="Identity",
        path="identity_cosine.target",
        column="identity_target",
        columns=PERSON,
        baselines=ALL,
        line=Line("Identity: target", "cosine to the target's own face", least=0.01, at=20),
        curve=Curve(BY_PACK, "to target"),
        meaning=Meaning("the same to the target's own faces", "", "the target copied: near 1"),
        plotted=100,
    ),
    Metric(
        name="identity_source_itself",
        better="",
        group="Identity",
        path="identity_cosine.source_itself",
        clip="given",
        meaning=Meaning(
            "the source's own faces against the others': the most to be hoped for",
            "",
            "by hand on three vectors",
        ),
    ),
    Metric(
        name="nearer_to_source",
        better="higher",
        group="Identity",
        path="identity_cosine.nearer_to_source",
        clip="share_above",
        column="identity_source",
        against="identity_target",
        meaning=Meaning("share of frames nearer to source than to target", "", "copied target 0"),
    ),
    Metric(
        name="identity_worst",
        better="higher",
        group="Identity",
        path="identity_cosine.worst_source",
        clip="least",
        column="identity_source",
        meaning=Meaning("lowest cosine to the source of a frame"),
    ),
    Metric(
        name="identity_independent",
        better="higher",
        group="Identity",
        path="identity_independent.source",
        column="independent_source",
        columns=PERSON,
        baselines=ALL,
        line=Line("Second opinion: source", SECOND, least=0.01, at=30, key=True),
        curve=Curve(BY_JUDGE, "to source", BESIDE),
        meaning=Meaning(
            "`identity_cosine` by the judge",
            "FaceShifter's habit of judging by another network (Li et al. 2020)",
            "the same as above",
            "the scale of another recogniser: compare columns, never across",
        ),
    ),
    Metric(
        name="identity_independent_target",
        better="lower",
        group="Identity",
        path="identity_independent.target",
        column="independent_target",
        columns=PERSON,
        baselines=ALL,
        line=Line("Second opinion: target", SECOND, least=0.01, at=40),
        curve=Curve(BY_JUDGE, "to target"),
    ),
    Metric(
        name="independent_source_itself",
        better="",
        group="Identity",
        path="identity_independent.source_itself",
        clip="given",
    ),
    Metric(
        name="independent_nearer_to_source",
        better="higher",
        group="Identity",
        path="identity_independent.nearer_to_source",
        clip="share_above",
        column="independent_source",
        against="independent_target",
    ),
    Metric(
        name="independent_worst",
        better="higher",
        group="Identity",
        path="identity_independent.worst_source",
        clip="least",
        column="independent_source",
    ),
)
ELSEWHERE = (
    Metric(
        name="detectability",
        better="lower",
        group="Fidelity",
        path="auc",
        stage="detectability",
        line=Line("Detectability: auc", form=".2f"),
        meaning=Meaning(
            "area under the curve of a small detector trained on the other target clips",
            "forensic features, see [detectability](how-to/detectability.md)",
            "noise 0.5",
            "what a larger detector would find",
        ),
    ),
    Metric(
        name="retrieval",
        better="higher",
        group="Identity",
        path="top_1",
        stage="retrieval",
        line=Line("Retrieval: top-1", form=".2f"),
        meaning=Meaning(
            "share of 10 evenly spaced frames whose nearest face over all enrolled source frames "
            "is the source's",
            "FaceForensics++ protocol (Roessler et al. 2019; Li et al. 2020)",
            "right person 1, copied target 0",
            "much among two people: `chance` stands beside it",
        ),
    ),
)
"""Of stages over all swaps: data/<stage>/metrics.json, `swaps.<swap>.<path>`."""
