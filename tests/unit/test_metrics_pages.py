"""What the pages say and draw: tables, changes, curves, points, lineage, and their size."""

from __future__ import annotations

from contextlib import chdir
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from likeness.contracts.tables.frames import FRAMES as FRAMES_TABLE
from likeness.evaluation import summary
from likeness.evaluation.per_frame import SCORES
from likeness.evaluation.report import (
    changes,
    curves,
    descent,
    figures,
    film,
    html,
    page,
    rows,
    scatter,
    verdict,
)
from likeness.evaluation.report.album import REASONS, Album, Shown
from likeness.evaluation.report.coverage import coverage, mouth
from likeness.media.footage import open_footage
from tests.footage import make_clip, noise
from tests.reportcase import FRAMES, METRICS, ReportCase, make_report_case, metrics
from tests.swapcase import CLIP

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReportCase:
    root = tmp_path_factory.mktemp("pages")
    with chdir(root):
        return make_report_case(root, scale=1)


def line(path: str) -> figures.Line:
    return next(found for found in rows.lines(METRICS) if found.path == path)


def test_baselines_are_found_in_both_shapes() -> None:
    tree = {
        "error": {"mean": 1.0, "target_copied": 0.5, "target_reencoded": {"mean": 0.7}},
        "group": {"leaf": 2.0, "source_pasted": {"leaf": 3.0}},
        "flat": 4.0,
    }
    error, leaf, flat = (
        figures.Line(p, "", "lower", p) for p in ("error.mean", "group.leaf", "flat")
    )
    assert error.baseline(tree, "target_copied") == 0.5
    assert error.baseline(tree, "target_reencoded") == 0.7
    assert leaf.baseline(tree, "source_pasted") == 3.0
    assert leaf.baseline(tree, "target_copied") is None
    assert flat.value(tree) == 4.0
    assert flat.baseline(tree, "error") is None


def test_a_metric_that_no_line_names_still_shows() -> None:
    found = {row["label"]: row for row in rows.table(METRICS)}
    assert found["Sparkle"]["value"] == "0.25"
    assert found["Sparkle"]["baselines"][0] == {
        "name": "Target copied",
        "value": "0.125",
        "reason": "",
    }
    assert found["KID"]["value"] == figures.NOTHING
    assert found["KID"]["reason"] == "fewer than 50 images"
    assert found["Jitter"]["hint"] == "of the mesh, above the target's (0.0070)"
    labels = list(found)
    assert labels.index("Identity: source") < labels.index("Sparkle")
    assert not {"Frames", "Embedder", "Gates"} & set(labels)


def test_every_named_line_stands_in_what_evaluate_writes() -> None:
    """A renamed key must not silently empty a row."""
    columns = {name: RNG.uniform(0.1, 0.9, 30) for name in SCORES}
    tree = summary.summarise(columns, np.zeros(30, int), 0.9)
    # Measured on features, not on columns.
    apart = {f"{name}.value" for name in summary.CROWDS}
    missing = [f.path for f in figures.LINES if f.value(tree) is None and f.path not in apart]
    assert missing == []
    with_both = ("target_copied", "source_pasted")
    for path in ("identity_cosine.source", "pose_error_deg.mean", "gaze_error.mean"):
        found = next(known for known in figures.LINES if known.path == path)
        assert all(found.baseline(tree, name) is not None for name in with_both), path


def test_an_interval_stands_with_its_value() -> None:
    tree = {"fid": {"value": 12.5, "low": 10.0, "high": 15.25}}
    assert rows.table(tree)[0]["hint"].endswith("95 %: 10.00 to 15.25")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("identity_cosine.source", "higher"),
        ("identity_cosine.target", "lower"),
        ("identity_independent.source", "higher"),
        ("gaze_error.mean", "lower"),
        ("illumination.shading_correlation.mean", "higher"),
        ("seams.gradient_ratio.mean", "target"),
        ("action_units.smile.mean", "lower"),
        ("kid.value", "lower"),
        ("sparkle.mean", ""),
    ],
)
def test_which_way_is_better(path: str, wanted: str) -> None:
    assert rows.direction(path) == wanted


def marks(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    return {change.line.path: change.mark for change in changes.changes(before, after)}


def test_changes_know_which_way_is_better() -> None:
    after = metrics(
        identity_cosine__source=0.6,
        pose_error_deg__mean=2.0,
        seams__gradient_ratio__mean=2.3,
        sparkle__mean=0.5,
        outside__ssim=0.99501,
        colour_shift__mean=None,
    )
    found = marks(METRICS, after)
    assert found["identity_cosine.source"] == changes.GOOD
    assert found["pose_error_deg.mean"] == changes.BAD
    assert found["seams.gradient_ratio.mean"] == changes.NEITHER  # as far below as it was above
    assert found["sparkle.mean"] == changes.NEITHER
    assert found["outside.ssim"] == changes.SAME
    assert found["colour_shift.mean"] == changes.NEITHER
    back = marks(after, METRICS)
    assert (back["identity_cosine.source"], back["pose_error_deg.mean"]) == ("bad", "good")
    assert set(marks(METRICS, METRICS).values()) == {changes.SAME}


def test_a_difference_that_does_not_show_is_none() -> None:
    before = metrics(identity_cosine__source=0.35049, pose_error_deg__mean=2.0)
    after = metrics(identity_cosine__source=0.35051, pose_error_deg__mean=2.006)
    found = marks(before, after)
    assert found["identity_cosine.source"] == changes.SAME  # .350 and .351, but +.000
    assert found["pose_error_deg.mean"] == changes.BAD
    near = marks(METRICS, metrics(seams__gradient_ratio__mean=2.3001))
    assert near["seams.gradient_ratio.mean"] == changes.NEITHER  # as far off, to two digits


@pytest.mark.parametrize(("value", "mark"), [(2.4, changes.SAME), (3.5, changes.BAD)])
def test_what_the_intervals_hold_is_no_change(value: float, mark: str) -> None:
    runs = [{"fid": {"value": v, "low": v - 0.5, "high": v + 0.5}} for v in (2.0, value)]
    assert marks(runs[0], runs[1])["fid.value"] == mark


def test_a_baseline_without_a_figure_says_why() -> None:
    tree = {"kid": {"value": 0.1, "target_copied": 0.0, "target_reencoded": None,
                    "reasons": {"target_reencoded": "4 images, at least 50 are needed"}},
            "gaze_error": {"mean": 0.1, "target_reencoded": 0.02}}  # fmt: skip
    kid = next(row for row in rows.table(tree) if row["path"] == "kid.value")
    cells = {cell["name"]: (cell["value"], cell["reason"]) for cell in kid["baselines"]}
    assert cells["Target copied"] == ("0.0000", "")
    assert cells["Target re-encoded"] == (
        figures.NOTHING,
        "4 images, at least 50 are needed",
    )


def test_a_metric_that_is_new_or_gone_is_told() -> None:
    fewer = {k: v for k, v in METRICS.items() if k != "sparkle"}
    gone = next(c for c in changes.changes(METRICS, fewer) if c.line.path == "sparkle.mean")
    assert gone.cells()["after"] == gone.cells()["difference"] == figures.NOTHING
    assert marks(fewer, METRICS)["sparkle.mean"] == changes.NEITHER


def test_the_best_of_several() -> None:
    runs = [metrics(), metrics(identity_cosine__source=0.6), metrics(pose_error_deg__mean=None)]
    assert changes.best(line("identity_cosine.source"), runs) == {1}
    assert changes.best(line("pose_error_deg.mean"), runs) == set()  # two alike, one unknown
    assert changes.best(line("sparkle.mean"), runs) == set()  # nobody said which way


def test_verdicts_and_badges() -> None:
    assert verdict.badge(METRICS) == ("fail", "1 of 2 gates fail")
    assert verdict.badge({}) == ("open", "no gates stated")
    one = {"gates": {"a": {"bound": "> 1", "value": 2.0, "passed": True}}}
    assert verdict.badge(one) == ("pass", "the gate holds")
    assert [gate["passed"] for gate in verdict.gates(METRICS)] == [False, True]
    assert "nearer to the source" in verdict.sentences(METRICS)[0]
    assert "No face" in verdict.sentences(metrics(frames__with_face=0))[0]


def test_every_column_is_drawn_once_and_a_new_one_by_itself() -> None:
    columns = {name: RNG.uniform(0, 1, 20) for name in SCORES}
    columns |= {"glow_error": RNG.uniform(0, 1, 20), "copied_glow_error": np.full(20, np.nan)}
    found = curves.groups(columns)
    named = [name for group in found for name in group.columns.values()]
    assert len(named) == len(set(named))
    stems = {curves.stem(name) for name in named}
    assert {curves.stem(name) for name in columns} - stems <= curves.UNSEEN
    drawn = {chart.title: chart for chart in curves.draw(columns, np.repeat([0, 1], 10))}
    assert drawn["Glow error"].names == ["swap"]
    assert drawn["Glow error"].hint == ""  # nobody said which way
    assert 'class="cut"' in drawn["Glow error"].svg
    assert all(chart.linked for chart in drawn.values())


def test_coverage_by_hand() -> None:
    source = np.array([[0.0, 0.0], [20.0, 0.0]])
    target = np.array([[0.0, 9.0], [10.0, 10.0], [29.0, 0.0]])
    found = scatter.draw(
        "Pose", ("yaw", "pitch"), source, target, [4, 5, 9], reach=10, least=20, unit="°"
    )
    assert found.share == pytest.approx(2 / 3)
    root = ET.fromstring(found.svg)  # noqa: S314  # our own text
    kinds = [e.get("class") for e in root.iter() if e.tag == "circle"]
    assert kinds == ["dot", "dot", "near", "far", "near", "here"]
    assert found.texts[1].endswith("nearest of the source 14.14° away")
    assert found.u[0] < found.u[1] < found.u[2]
    assert found.v[1] < found.v[0] < found.v[2]  # up is more


def test_coverage_without_faces_on_either_side() -> None:
    nothing, one = np.zeros((0, 2)), np.zeros((1, 2))
    for source, target, share in (
        (nothing, one, 0.0),
        (one, nothing, None),
        (nothing, nothing, None),
    ):
        frames = list(range(len(target)))
        found = scatter.draw("Pose", ("x", "y"), source, target, frames, reach=1, least=1, unit="")
        assert found.share == share
        ET.fromstring(found.svg)  # noqa: S314  # our own text


def test_nearest_does_not_depend_on_batches() -> None:
    points, others = RNG.normal(0, 1, (700, 2)), RNG.normal(0, 1, (90, 2))
    whole = np.linalg.norm(points[:, None] - others, axis=2).min(axis=1)
    assert np.allclose(scatter.nearest(points, others), whole)


def test_a_mouth_is_measured_in_eye_distances_whatever_the_turn() -> None:
    mesh = RNG.normal(0, 20, (468, 3))
    turn, _ = np.linalg.qr(RNG.normal(0, 1, (3, 3)))
    assert mouth(mesh @ turn.T * 3.0 + 50) == pytest.approx(mouth(mesh))


def test_coverage_reads_target_and_source(made: ReportCase) -> None:
    with chdir(made.root):
        inputs = made.inputs("first")
        pose, lips = coverage(inputs["source"], inputs["aligned"])
    assert pose.share == 1.0  # the source's shard holds the target's very crops
    assert pose.frames == lips.frames == list(range(FRAMES))


def test_lineage_names_hashes_that_it_was_given(made: ReportCase) -> None:
    with chdir(made.root):
        inputs = made.inputs("first")
        about = made.report("first", METRICS).about
        model = {"target": "ben", "images": 64, "continues": f"{'3f0c9d2a' * 4} at 32 images"}
        found = descent.nodes(inputs, about, model)
        facts = {node.key: " ".join((node.title, *node.facts)) for node in found}
        footage = descent.short(descent.FRAMES.check(inputs["frames"])["footage_sha256"])
    assert footage in facts["target"]
    assert CLIP in facts["target"]
    assert "ann-film: 12 crops" in facts["source"]
    assert "5a5a5a5a5a5a" in facts["shard"]
    assert "consent c0c0c0c0c0c0" in facts["roster"]
    assert "after 3f0c9d2a, 32 images" in facts["train"]
    root = ET.fromstring(descent.draw(found))  # noqa: S314  # our own text
    box = [float(v) for v in root.get("viewBox", "").split()]
    for rect in root.iter("rect"):
        x, y, w, h = (float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + w <= box[2]
        assert y + h <= box[3]
    assert len(list(root.iter("path"))) == sum(len(node.above) for node in found)


def test_lineage_of_a_pools_model_shows_the_source_to_convert_alone(made: ReportCase) -> None:
    with chdir(made.root):
        inputs, about = made.inputs("first"), made.report("first", METRICS).about
        model = {"target": "everybody", "pools": {"target": ["carl", "dora"]}}
        found = {node.key: node for node in descent.nodes(inputs, about, model)}
    assert found["train"].above == ("shard-target",)
    assert "shard" in found["convert"].above
    assert found["shard-target"].title == "pool everybody"
    assert found["shard-target"].facts == ("learns from 2",)


def test_strips_shrink_before_the_page_outgrows_its_limit() -> None:
    album = Album(10, set(), set())
    picture = RNG.integers(0, 255, (192, 192, 3), np.uint8)
    for reason in REASONS:
        album.worst[reason.name] = [Shown(k, float(k), "", picture, picture) for k in range(10)]
    whole, none = page.strips(album, 10**9)
    assert none == 0
    size = sum(len(face["picture"]) for strip in whole for face in strip["faces"])
    half, left_out = page.strips(album, size // 2)
    assert left_out == len(REASONS) * 5
    assert [face["frame"] for face in half[0]["faces"]] == list(range(5))
    fewest, _ = page.strips(album, 0)
    assert all(len(strip["faces"]) == 1 for strip in fewest)


def test_a_film_ends_before_it_outgrows_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=130, size=(128, 96), picture=noise)
    found = []
    for limit in (10**9, 20_000, 20_000):  # the muxer writes a quarter of a megabyte at a time
        monkeypatch.setattr(film, "MOST_BYTES", limit)
        with open_footage(clip) as footage:
            taken = film.Film(footage, [range(5, 105)])
            for frame in footage.frames():
                taken.frame(frame, frame)
        found.append(taken.finish())
    whole, short, again = found
    assert whole.frames == tuple(range(5, 105))
    assert whole.times_s[0] == 0
    assert whole.times_s[-1] == pytest.approx(99 / 25)
    assert 0 < len(short.frames) < len(whole.frames)
    assert short.times_s == whole.times_s[: len(short.frames)]
    assert short == again


def faces_at(count: int, *places: int) -> np.ndarray:
    faces = np.zeros(count, np.int64)
    faces[list(places)] = 1
    return faces


def test_a_short_clip_is_shown_from_its_first_face_on() -> None:
    assert film.runs_of(faces_at(80, *range(10, 60)), 90) == (range(10, 80),)
    assert film.runs_of(faces_at(200, *range(10, 60)), 90) == (range(10, 100),)
    assert film.runs_of(faces_at(40), 90) == (range(40),)
    assert film.runs_of(faces_at(500, *range(500)), 20) == (range(20),)  # too short to be cut up
    assert film.runs_of(faces_at(500, *range(500)), 0) == ()


def test_of_a_long_clip_the_beginning_middle_and_end_are_shown() -> None:
    faces = faces_at(500, *range(20, 480))
    assert film.runs_of(faces, 90) == (range(20, 50), range(235, 265), range(450, 480))
    rare = film.runs_of(faces_at(500, 5, 6, 400), 90)  # most faces at the beginning
    assert rare == (range(5, 35), range(35, 65), range(371, 401))
    frames = [index for run in film.runs_of(faces, 90) for index in run]
    assert film.spans(frames) == [(20, 49), (235, 264), (450, 479)]
    assert film.spans([]) == []


def test_a_film_in_parts_never_waits(tmp_path: Path) -> None:
    pts = [0, 40, 80, 100, 140, 900, 940, 2000, 2030, 2060]
    clip = make_clip(
        tmp_path / "clip.mp4", frames=len(pts), pts=pts, time_base=Fraction(1, 1000), size=(64, 48)
    )
    with open_footage(clip) as footage:
        taken = film.Film(footage, [range(1, 4), range(7, 10)])
        for frame in footage.frames():
            taken.frame(frame, frame)
        step = 1 / Fraction(*footage.facts["average_rate"])
    found = taken.finish()
    assert found.frames == (1, 2, 3, 7, 8, 9)
    apart = np.diff(found.times_s)
    assert apart[[0, 1, 3, 4]] == pytest.approx([0.04, 0.02, 0.03, 0.03])
    assert apart[2] == pytest.approx(float(step), abs=0.001)  # as if one followed the other


def test_the_page_says_which_part_the_film_shows(made: ReportCase) -> None:
    with chdir(made.root):
        whole = made.report("first", metrics())
        part = replace(whole, film=replace(whole.film, frames=(0, 1, 2, 7, 8)))
        texts = [page.render(given, made.inputs("first")) for given in (whole, part)]
    assert f"frames 0 to {FRAMES - 1} of" in texts[0]
    assert "A part of the clip" not in texts[0]
    assert "<b>A part of the clip</b>: frames 0 to 2, 7 to 8 of" in " ".join(texts[1].split())


def test_the_page_escapes_what_it_is_given(made: ReportCase) -> None:
    nasty = "</script><b>&"
    with chdir(made.root):
        given = made.report("first", metrics(kid={"value": None, "reason": nasty}))
        given = replace(given, swap=nasty)
        text = page.render(given, made.inputs("first"))
    assert nasty not in text
    assert text.count("&lt;/script&gt;&lt;b&gt;&amp;") >= 3  # title, heading, reason
    assert "</script>" not in html.script_json({"name": nasty})


def test_a_swap_without_faces_has_a_page(made: ReportCase) -> None:
    numbers = metrics(frames__with_face=0, frames__measured=0)
    with chdir(made.root):
        given = made.report("first", numbers)
        empty = {name: np.full(FRAMES, np.nan) for name in SCORES}
        album = Album(10, set(), set())
        text = page.render(replace(given, columns=empty, album=album), made.inputs("first"))
    assert "No face was found" in text
    assert 'id="worst"' not in text
    assert 'href="#worst"' not in text
    assert 'id="watch"' in text


def test_remarks_on_the_footage_stand_beside_the_verdict(made: ReportCase, tmp_path: Path) -> None:
    with chdir(made.root):
        inputs = made.inputs("first")
        rows, facts = FRAMES_TABLE.read(inputs["frames"]), FRAMES_TABLE.check(inputs["frames"])
        line = "high dynamic range (PQ): read and written in 8 bits & more"
        FRAMES_TABLE.write(tmp_path / "frames.parquet", rows, facts | {"remarks": [line]})
        given = made.report("first", metrics())
        without = page.render(given, inputs)
        text = page.render(given, inputs | {"frames": tmp_path / "frames.parquet"})
    assert "Target footage:" not in without
    said = text.index("Target footage: high dynamic range (PQ): read and written in 8 bits &amp;")
    assert said < text.index('id="watch"')
