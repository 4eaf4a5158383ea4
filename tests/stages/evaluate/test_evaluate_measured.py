"""Stage `evaluate` on real faces: a clip against itself, a paste, a blur, a film of crops."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from flows.cli import main
from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import FootageError, TableError
from likeness.contracts.tables.baselines import BASELINES
from likeness.contracts.tables.converted import CONVERTED
from likeness.evaluation.per_frame import PER_FRAME
from likeness.media.encode import StreamFacts, VideoWriter
from likeness.media.footage import open_footage
from likeness.media.images import decode_jpeg
from tasks._whole import LEAST_PX, facts_of, write_film
from tests.evaluatecase import OUTPUTS, PARAMS, TARGET_FRAMES, Case, write_swap


def test_a_clip_against_itself_has_no_error(itself: Any) -> None:
    found = itself
    who = found["identity_cosine"]
    assert who["source"] == who["target_copied"]["source"]
    assert who["target"] == who["target_copied"]["target"] > 0.9
    assert found["pose_error_deg"]["mean"] == found["landmark_error"]["mean"] == 0
    assert found["expression_error"]["mean"] == found["colour_shift"]["mean"] == 0
    assert found["frames"] == {"total": 72, "with_face": 10, "measured": 10, "undecodable": 0}
    outside, moving = found["outside"], found["flicker"]
    untouched = {"ssim": 1, "psnr_db": 100, "max_difference": 0}
    assert outside["target_copied"] == untouched
    assert {name: outside[name] for name in untouched} == untouched
    assert outside["target_reencoded"]["ssim"] < 1
    assert outside["target_reencoded"]["max_difference"] > 0
    names = ("colour", "flow_difference_px", "landmark_jitter", "warping_error")
    assert [moving[name] for name in names] == [0, 0, 0, 0]
    assert [moving["target_copied"][name] for name in names] == [0, 0, 0, 0]
    assert moving["target_reencoded"]["flow_difference_px"] > 0


def test_a_clip_against_itself_keeps_gaze_light_and_features(itself: Any) -> None:
    found = itself
    assert found["gaze_error"]["mean"] == found["perceptual_distance"]["mean"] == 0
    assert found["illumination"]["lab_mean_error"]["mean"] == 0
    assert found["illumination"]["shading_correlation"]["mean"] == pytest.approx(1)
    assert all(unit["mean"] == 0 for unit in found["action_units"].values())
    assert found["fid"]["value"] is None
    assert "at least 50" in found["fid"]["reason"]
    for name in ("visible_seam", "shade_mismatch"):
        assert found["seams"][name]["mean"] == found["seams"][name]["target_copied"] == 0
    assert found["eye_gap"]["mean"] == found["eye_gap"]["unlike"] == 0
    assert found["action_units"]["mouth_open"]["unlike"] == 0
    assert 0.7 < found["coverage"]["mean"] <= 1
    worse = found["perceptual_distance"]
    assert 0 < worse["target_reencoded"] < worse["mesh_transfer"] < worse["source_pasted"]


def test_baselines_are_measured_beside_the_swap(itself: Any, pasted: tuple[Path, Any]) -> None:
    beside = itself["identity_cosine"]["mesh_transfer"]
    assert beside["source"] > itself["identity_cosine"]["source"] + 0.1
    assert itself["pose_error_deg"]["mesh_transfer"] > 0
    assert (itself["baselines"]["runs"], itself["baselines"]["recognised"]) == (3, 7)
    # They hang on footage and source alone.
    assert pasted[1]["identity_cosine"]["mesh_transfer"] == beside


def test_baselines_of_other_footage_are_refused(case: Case, pasted: tuple[Path, Any]) -> None:
    own = case.root / "data/baselines.parquet"
    other = case.root / "data/others.parquet"
    BASELINES.write(other, BASELINES.read(own), BASELINES.check(own) | {"footage_sha256": "0"})
    with pytest.raises(TableError, match="is of other footage"):
        case.run(pasted[0], baselines=other)


def test_a_paste_shows_the_source_and_keeps_the_rest(case: Case, pasted: tuple[Path, Any]) -> None:
    _, found = pasted
    who = found["identity_cosine"]
    assert who["source"] > who["target"] + 0.2
    assert who["source"] > who["target_copied"]["source"] + 0.3
    assert who["source"] == pytest.approx(who["source_pasted"]["source"], abs=0.2)
    assert who["source_itself"] > 0.6
    assert who["nearer_to_source"] == 1
    assert found["pose_error_deg"]["mean"] > 0.5
    assert 0.97 < found["outside"]["ssim"] < 1
    assert 38 < found["outside"]["psnr_db"] < 60
    # One still in every frame cannot move as the target does.
    assert found["flicker"]["warping_error"] > 0
    assert found["flicker"]["flow_difference_px"] > 0
    assert found["seams"]["visible_seam"]["mean"] > 0.2  # a hard cut
    assert found["seams"]["shade_mismatch"]["mean"] > 3
    assert 0 < found["eye_gap"]["mean"] < 0.05  # both look with open eyes
    assert found["embedder"]["circular"]
    assert not found["judge"]["circular"]


def test_a_blur_moves_the_metrics_it_should(case: Case) -> None:
    folder = write_swap(case, "blurred", lambda crop: cv2.GaussianBlur(crop, (0, 0), 4))
    found = case.run(folder)
    who = found["identity_cosine"]
    assert 0.3 < who["target"] < who["target_copied"]["target"]
    assert who["source"] < 0.35
    assert found["landmark_error"]["mean"] > 0.005
    assert found["pose_error_deg"]["mean"] < 6


def test_tables_hold_every_frame_and_say_what_was_measured(pasted: tuple[Path, Any]) -> None:
    folder, found = pasted
    table = PER_FRAME.read(folder / "report/per_frame.parquet")
    assert table["frame_index"].to_pylist() == list(range(72))
    known = [v is not None for v in table["identity_source"].to_pylist()]
    assert [i for i, v in enumerate(known) if v] == list(TARGET_FRAMES)
    assert all(v is not None for v in table["psnr_outside_db"].to_pylist())
    mean = np.mean([v for v in table["identity_source"].to_pylist() if v is not None])
    assert found["identity_cosine"]["source"] == pytest.approx(mean, abs=1e-4)
    lines = (folder / "report/curves.csv").read_text().splitlines()
    assert lines[0].startswith("frame_index,")
    assert lines[0].endswith(",identity_source")
    assert len(lines) == 1 + len(TARGET_FRAMES)


def test_the_same_again_gives_the_same_bytes(case: Case, pasted: tuple[Path, Any]) -> None:
    folder, _ = pasted
    before = {name: sha256_of(folder / "report" / name) for name in OUTPUTS}
    case.run(folder)
    assert before == {name: sha256_of(folder / "report" / name) for name in OUTPUTS}


def test_the_page_needs_no_other_file(pasted: tuple[Path, Any]) -> None:
    folder, _ = pasted
    page = (folder / "report/report.html").read_text()
    assert len(page) < 15e6
    fetched = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)([^"'\s>)]+)""", page)
    assert not [link for link in fetched if not link.startswith(("button", ".", "#"))], fetched
    assert "http" not in page
    for part in ("verdicts", "watch", "look", "worst", "curves", "training", "parameters"):
        assert f'id="{part}"' in page
    assert page.count("<svg") >= 6


@pytest.mark.slow
def test_a_browser_finds_the_parts(pasted: tuple[Path, Any], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    folder, _ = pasted
    page = (folder / "report/report.html").resolve().as_uri()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [browser, *flags, *quiet, "--no-first-run", "--dump-dom", page]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert dom.count('class="line c0"') >= 6
    assert 'id="wipe"' in dom
    assert 'id="player"' in dom


def test_gates_and_overrides_of_the_swap(case: Case, pasted: tuple[Path, Any]) -> None:
    folder = case.root / "data/swaps/gated"
    shutil.copytree(pasted[0], folder)
    gates = "{identity_cosine.source: '>= 0.3', outside.max_difference: '<= 0'}"
    own = f"model: ann-ben, evaluate: {{max_frames: 3, gates: {gates}}}"
    few = "baselines: {frames: 3, runs: 1}\n"
    Path("params.yaml").write_text(few + PARAMS.replace("model: ann-ben", own))
    case.compare_with(folder / "baselines.parquet")
    found = case.run(folder, baselines=folder / "baselines.parquet")
    assert found["frames"]["measured"] == 3
    assert pasted[1]["frames"]["measured"] == 10
    assert found["gates"]["identity_cosine.source"]["passed"]
    assert not found["gates"]["outside.max_difference"]["passed"]
    assert found["gates_passed"] is False
    assert "fails" in (folder / "report/report.html").read_text()


def test_a_gate_that_the_measured_swap_fails_is_1_with_its_line(
    case: Case, pasted: tuple[Path, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = case.root / "data/swaps/ann-on-ben"
    shutil.copytree(pasted[0], folder)
    gates = "{pose_error_deg.mean: '>= 0', identity_cosine.source: '>= 0.999'}"
    Path("params.yaml").write_text(f"evaluate: {{max_frames: 3, gates: {gates}}}\n" + PARAMS)
    Path("dvc.yaml").write_text("stages: {}\n")
    found = case.run(folder)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["gate"])
    said = capsys.readouterr()
    cosine = found["identity_cosine"]["source"]
    assert ended.value.code == 1
    assert 0 < cosine < 0.999
    line = f"failed: ann-on-ben: identity_cosine.source is {cosine:g}, not >= 0.999\n"
    assert said.err == line
    assert "pose_error_deg.mean" in said.out


def write_whole(case: Case, name: str, picture: Any) -> Path:
    """A film of whole crops `picture(crop)`, as `blend: {mode: crop}` writes it; its folder."""
    folder = write_swap(case, name, picture)
    footage = open_footage(case.clip / "footage.mp4")
    table = CONVERTED.read(folder / "converted.parquet", ["frame_index", "crop"])
    keys, cells = (table[name].to_pylist() for name in ("frame_index", "crop"))
    crops = dict(zip(keys, map(decode_jpeg, cells), strict=True))
    facts = facts_of(footage.facts, LEAST_PX)
    frames = list(footage.frames())
    with VideoWriter(
        folder / "render.mp4", StreamFacts(footage.path, facts), 12, "ultrafast"
    ) as video:
        shown = (crops.get(frame.frame_index) for frame in frames)
        write_film(video, frames, shown, facts, lambda _: None)
    return folder


def test_a_film_of_whole_crops_is_measured_in_the_crop(case: Case) -> None:
    crop = "blend: {mode: crop}\nevaluate: {gates: [ssim_outside >= 0.1, pose_error_deg <= 3]}\n"
    Path("params.yaml").write_text(PARAMS + crop)
    found = case.run(write_whole(case, "whole", lambda crop: crop))
    assert found["picture"] == "crop"
    assert found["frames"] == {"total": 72, "with_face": 10, "measured": 10, "undecodable": 0}
    who = found["identity_cosine"]
    assert who["target"] == pytest.approx(who["target_copied"]["target"], abs=0.03)
    assert who["source"] == pytest.approx(who["target_copied"]["source"], abs=0.05)
    assert found["pose_error_deg"]["mean"] < 1
    assert found["colour_shift"]["mean"] < 1
    beside = who["mesh_transfer"]
    assert beside["source"] > who["source"] + 0.1
    assert found["pose_error_deg"]["target_reencoded"] < found["pose_error_deg"]["mesh_transfer"]
    assert found["perceptual_distance"]["target_reencoded"] < 0.1
    for part, leaf in (("outside", "ssim"), ("outside", "psnr_db"), ("outside", "max_difference")):
        assert found[part][leaf] is None
        assert found[part]["target_reencoded"][leaf] is None
    assert found["seams"]["boundary_delta_e"]["mean"] is None
    assert "whole picture is generated" in found["outside"]["reason"]
    assert found["seams"]["reason"] == found["outside"]["reason"]
    # What cannot be measured holds no bound.
    verdicts = {name: verdict["passed"] for name, verdict in found["gates"].items()}
    assert list(verdicts.values()) == [False, True]
    assert not found["gates_passed"]


def test_a_render_that_is_no_film_of_crops_is_refused(case: Case) -> None:
    Path("params.yaml").write_text(PARAMS + "blend: {mode: crop}\n")
    folder = write_swap(case, "framed", lambda crop: crop)
    with pytest.raises(FootageError, match="is not 256x256 px"):
        case.run(folder)
