"""Sampling, summary, gates, charts and album: what stands between metrics and a reader."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.contracts.errors import ParamsError
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.history import HISTORY
from likeness.evaluation import gates, sampling, summary
from likeness.evaluation.per_frame import PER_FRAME, SCORES
from likeness.evaluation.report import charts, page
from likeness.evaluation.report.album import REASONS, Album
from likeness.evaluation.report.charts import Curve
from likeness.evaluation.report.sheet import contact_sheet
from likeness.evaluation.report.training import training
from likeness.evaluation.scores import Scores
from likeness.evaluation.views import Place, View, locate, warped
from likeness.media.images import encode_jpeg
from likeness.metrics import spacing
from likeness.vision.alignment import Affine

RNG = np.random.default_rng(0)


def columns(frames: int = 30) -> summary.Columns:
    return {name: RNG.uniform(0.1, 0.9, frames) for name in SCORES}


@given(st.integers(0, 400), st.integers(1, 60))
def test_even_spacing(count: int, wanted: int) -> None:
    chosen = spacing.evenly(count, wanted)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, wanted)
    assert all(0 <= c < count for c in chosen)
    gaps = np.diff(chosen)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


@given(st.integers(1, 500), st.integers(3, 90))
def test_runs_stay_below_the_bound_and_measure_enough(count: int, most: int) -> None:
    frames = np.arange(count) * 1
    shots, tracks = frames // 50, np.zeros(count, int)
    chosen = sampling.runs(frames, shots, tracks, most)
    whole = max(most // sampling.WHOLE, 1)
    if count <= 2 * most:
        assert (chosen == sampling.ALL).all()
        return
    assert (chosen >= sampling.FACE).sum() == most
    assert (chosen == sampling.ALL).sum() == whole
    assert (chosen == sampling.MOTION).sum() <= 2 * max(whole // sampling.IN_RUNS, 1)
    for place in np.flatnonzero(chosen == sampling.MOTION):
        near = chosen[max(place - 1, 0) : place + 2] == sampling.ALL
        assert near.any()


def test_runs_do_not_cross_cuts_or_gaps() -> None:
    frames = np.array([0, 1, 2, 10, 11, 12, 13, 14, 15])
    shots = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    chosen = sampling.runs(frames, shots, np.zeros(9, int), 3)
    assert chosen.tolist() == [0, 2, 0, 1, 3, 1, 0, 2, 0]
    assert not sampling.follows(frames, shots, np.zeros(9, int), 2, 3)
    assert not sampling.follows(frames, shots, np.zeros(9, int), 5, 6)


def test_spread_takes_the_corners() -> None:
    crowd = RNG.normal(0, 0.1, (50, 2))
    corners = np.array([[9.0, 9], [-9, 9], [9, -9], [-9, -9]])
    chosen = spacing.spread(np.concatenate([crowd, corners]), 5)
    assert set(range(50, 54)) <= set(chosen.tolist())


def test_clean_leaves_out_the_covered_and_the_badly_fitted() -> None:
    similarity, error = np.full(40, 0.7), np.full(40, 0.05)
    similarity[3], error[5] = 0.2, 0.4
    kept = set(sampling.clean(similarity, error).tolist())
    assert kept == set(range(40)) - {3, 5}
    assert not len(sampling.clean(np.zeros(0), np.zeros(0)))


def test_summary_of_known_columns() -> None:
    known = columns()
    known["identity_source"][:] = np.linspace(0.4, 0.6, 30)
    known["identity_target"][:] = 0.5
    known["landmark_jitter"][:], known["target_landmark_jitter"][:] = 0.03, 0.01
    for channel in "lab":
        known[f"lab_{channel}"][:] = 50
        known[f"target_lab_{channel}"][:] = 50
    known["lab_l"][::2] = 52
    tree = summary.summarise(known, np.zeros(30, int), 0.9)
    assert tree["identity_cosine"]["source"] == 0.5
    assert tree["identity_cosine"]["nearer_to_source"] == 0.5
    assert tree["identity_cosine"]["worst_source"] == 0.4
    assert tree["flicker"]["landmark_jitter"] == pytest.approx(0.02)
    assert tree["flicker"]["colour"] == pytest.approx(1)
    pasted = known["pasted_pose_error_deg"].mean()
    assert tree["pose_error_deg"]["source_pasted"] == pytest.approx(pasted, abs=1e-4)


def test_shares_count_frames_beyond_a_limit() -> None:
    known = columns(10)
    known["eye_gap"][:] = [0.2, 0.11, 0.1, 0.05, *[0.0] * 4, np.nan, np.nan]
    known["target_mouth_open"][:] = 0.3
    known["mouth_open"][:] = [0.1, 0.5, 0.35, *[0.3] * 7]
    tree = summary.summarise(known, np.zeros(10, int), 0.9)
    assert tree["eye_gap"]["unlike"] == 2 / 8
    assert tree["action_units"]["mouth_open"]["unlike"] == 2 / 10


def test_crowds_are_compared_with_target_and_source() -> None:
    source, target = RNG.normal(0, 1, (60, 3)), RNG.normal(5, 1, (60, 3))
    crowds = {"copied_": list(target), "": list(source + 0.5), summary.SOURCE: list(source)}
    tree = summary.summarise(columns(), np.zeros(30, int), 0.9, features=crowds)
    assert tree["fid_source"]["value"] == pytest.approx(0.75, abs=1e-3)  # 3 x 0.5^2
    assert tree["fid_source"]["target_copied"] > 50
    assert tree["fid"]["value"] > 50
    assert tree["kid_source"]["value"] < tree["kid"]["value"]
    assert "at least 50" in tree["fid_source"]["reasons"]["source_pasted"]


def test_summary_of_nothing_is_null_everywhere() -> None:
    empty = {name: np.full(5, np.nan) for name in SCORES}
    tree = summary.summarise(empty, np.zeros(5, int), float("nan"))
    counts = (".frames", ".images", ".reason")
    found = gates.leaves(tree)
    known = {p: v for p, v in found.items() if not p.endswith(counts) and ".reasons." not in p}
    assert set(known.values()) == {None}


def test_gates() -> None:
    tree = {"identity_cosine": {"source": 0.4}, "outside": {"ssim": None}}
    bounds = {"identity_cosine.source": ">= 0.35", "outside.ssim": "> 0.9"}
    found = gates.verdicts(tree, bounds)
    assert found["identity_cosine.source"]["passed"]
    assert not found["outside.ssim"]["passed"]
    assert not gates.verdicts(tree, {"identity_cosine.source": "< 0.4"})["identity_cosine.source"][
        "passed"
    ]
    with pytest.raises(ParamsError, match=r"is no metric; did you mean `identity_cosine`"):
        gates.verdicts(tree, {"identity": ">= 1"})
    with pytest.raises(ParamsError, match="is no bound"):
        gates.verdicts(tree, {"outside.ssim": "about 3"})


def test_score_columns_are_those_of_the_table() -> None:
    assert set(SCORES) < set(PER_FRAME.schema.names)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_round_and_inside(low: float, span: float) -> None:
    ticks = charts.nice_ticks(low, low + span)
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)


def test_chart_is_well_formed_and_inside_its_box() -> None:
    x = np.arange(2000.0)
    line = np.sin(x / 90)
    line[300:500] = np.nan
    drawn = charts.draw("Sine", "unit", x, [Curve("a", line)], marks=[1000.0])
    assert drawn is not None
    assert len(drawn.x) <= charts.MOST_POINTS
    root = ET.fromstring(drawn.svg)  # noqa: S314  # our own text
    paths = [e for e in root.iter() if e.get("class") == "line c0"]
    numbers = paths[0].get("d", "").replace("M", "L").split("L")[1:]
    places = np.array([[float(v) for v in pair.split(",")] for pair in numbers])
    assert (places >= 0).all()
    assert (places <= [charts.WIDTH, charts.HEIGHT]).all()
    assert charts.draw("None", "", x, [Curve("a", np.full(2000, np.nan))]) is None


def seen(frame: int, **scores: float) -> tuple[View, Scores]:
    mesh = RNG.uniform(60, 196, (468, 3))
    eye = np.eye(2, 3)
    place = locate(eye, mesh[:5, :2], mesh, np.full((32, 32), 255, np.uint8), eye)
    picture = np.full((192, 192, 3), frame % 256, np.uint8)
    return View(frame, place, picture, picture, picture), dict.fromkeys(SCORES, 0.5) | scores


def test_album_keeps_the_worst_apart_and_bounded() -> None:
    album = Album(3, set(), set())
    for frame in range(200):
        bad = 100.0 if frame in (50, 51, 52) else frame / 100
        album.face(*seen(frame, pose_error_deg=bad))
    kept = [shown.frame_index for shown in album.worst["pose"]]
    assert kept == [50, 199, 194]  # one of three in a row, then the last of each stretch
    assert all(len(album.worst[reason.name]) <= 3 for reason in REASONS)


def test_around_a_face_at_the_edge_is_no_second_mouth() -> None:
    """Beyond the frame a view is black, however often the frame is halved on the way."""
    for scale in (1.0, 0.4, 0.15):
        place = replace_view(np.array([[scale, 0.0, 0.0], [0.0, scale, 96.0]]))
        side = round(96 / scale) + 1
        region = np.full((side, 3 * side, 3), 200, np.uint8)
        view = warped(region, (0, 0), place)
        assert (view[:94] == 0).all()
        assert (view[98:190, 2:190] == 200).all()


def replace_view(to_view: Affine) -> Place:
    """A place whose view is that map of the frame."""
    return dataclasses.replace(seen(0)[0].place, to_view=to_view)


def test_the_sources_face_stands_beside_the_result() -> None:
    album = Album(3, {7}, set())
    source = np.full((192, 192, 3), 77, np.uint8)
    album.face(*seen(7), source)
    assert (album.even[0].source == 77).all()  # type: ignore[union-attr]  # there is one
    assert page._face(album.worst["pose"][0])["width"] == 3 * 192


def test_album_skips_what_was_not_measured() -> None:
    album = Album(3, {7}, set())
    album.face(*seen(7, warping_error=float("nan")))
    assert not album.worst["flicker"]
    assert len(album.worst["pose"]) == len(album.even) == 1


def test_contact_sheet_with_and_without_faces() -> None:
    album = Album(4, {0, 10, 20}, set())
    empty = contact_sheet(album, "swap")
    for frame in range(0, 30, 10):
        album.face(*seen(frame))
    sheet = contact_sheet(album, "swap")
    assert sheet.shape[1] == empty.shape[1]
    assert sheet.shape[0] > empty.shape[0] + 400
    assert sheet.dtype == np.uint8


def test_reasons_speak_of_what_they_rank() -> None:
    _, scores = seen(0)
    for reason in REASONS:
        base = reason.badness(scores)
        worse = [reason.badness(scores | {name: 0.9}) for name in SCORES]
        assert any(value != base for value in worse)
        assert reason.text(scores)


def test_shown_frames_are_frozen() -> None:
    album = Album(1, {1}, set())
    album.face(*seen(1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        album.even[0].text = "else"  # type: ignore[misc]  # the point of the test


def test_training_shows_history_and_preview_where_there_are_any(tmp_path: Path) -> None:
    assert training(tmp_path) == {"preview": "", "charts": [], "config": {}}
    (tmp_path / "preview.jpg").write_bytes(encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    images = np.repeat(np.arange(1, 6) * 64, 2)
    with Writer(HISTORY, tmp_path / "history.parquet") as writer:
        writer.add(
            {
                "images": np.append(images, [64, 320]),
                "phase": [*["generator"] * 10, "validation", "validation"],
                "name": [*["source.l1", "target.l1"] * 5, "identity", "identity"],
                "value": np.append(np.linspace(0.3, 0.1, 10), [0.2, 0.4]),
            }
        )
        writer.facts.update(dict.fromkeys(HISTORY.facts))
    found = training(tmp_path)
    assert found["preview"].startswith("data:image/jpeg;base64,")
    chart, judged = found["charts"]
    assert (judged.x, judged.values) == ([64, 320], [[0.2, 0.4]])  # a cosine is no loss
    assert sorted(chart.names) == ["source.l1", "target.l1"]
    assert chart.x == [64, 128, 192, 256, 320]
    assert chart.values[0][0] == pytest.approx(0.3)
