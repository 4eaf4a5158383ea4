"""Stage `evaluate` on what it cannot measure: nothing, and what does not belong together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import FootageError, ParamsError, TableError, WeightsError
from likeness.contracts.tables.baselines import BASELINES
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from models.analysers.pack import load_pack
from tests.evaluatecase import PARAMS, Case, write_swap


def test_no_face_is_legal_and_said(case: Case) -> None:
    folder = write_swap(case, "nothing", lambda crop: crop, rows=0)
    empty = case.root / "data/crops/ben/empty.parquet"
    CROPS.write(empty, CROPS.read(case.crops).slice(0, 0), CROPS.check(case.crops))
    aligned = folder / "aligned.json"
    aligned.write_text(
        json.dumps({"crops": "data/crops/ben/empty.parquet", "sha256": sha256_of(empty)})
    )
    nothing = folder / "baselines.parquet"
    case.compare_with(nothing, aligned=aligned)
    assert BASELINES.count(nothing) == 0
    found = case.run(folder, aligned=aligned, baselines=nothing)
    assert found["frames"]["with_face"] == found["frames"]["measured"] == 0
    assert found["identity_cosine"]["source"] is None
    assert found["outside"]["ssim"] > 0.97
    assert "No face was found" in (folder / "report/report.html").read_text()
    assert (folder / "report/curves.csv").read_text().count("\n") == 1


def test_a_render_of_another_length_is_refused(case: Case, pasted: tuple[Path, Any]) -> None:
    folder, _ = pasted
    short = folder / "short.mp4"
    footage = open_footage(case.clip / "footage.mp4")
    with VideoWriter(short, footage, preset="ultrafast", audio=False) as video:
        for frame in footage.frames(range(20)):
            video.write_rgb(frame.rgb(), frame.pts)
    with pytest.raises(FootageError, match="another number of frames"):
        case.run(folder, render=short)
    assert (folder / "report/metrics.json").is_file()


def test_crops_of_other_faces_are_refused(case: Case, pasted: tuple[Path, Any]) -> None:
    folder, _ = pasted
    other = folder / "other.parquet"
    facts = CONVERTED.check(folder / "converted.parquet")
    CONVERTED.write(other, CONVERTED.read(folder / "converted.parquet").slice(2), facts)
    with pytest.raises(TableError, match="does not match"):
        case.run(folder, converted=other)


def test_crops_that_changed_are_refused(case: Case, pasted: tuple[Path, Any]) -> None:
    stale = pasted[0] / "stale.json"
    stale.write_text(json.dumps({"crops": "data/crops/ben/ben-talks.parquet", "sha256": "0"}))
    with pytest.raises(TableError, match="is not the file that"):
        case.run(pasted[0], aligned=stale)


def test_shards_without_faces_are_refused(case: Case, pasted: tuple[Path, Any]) -> None:
    empty = case.root / "data/shards/nobody"
    empty.mkdir(exist_ok=True)
    with pytest.raises(TableError, match="holds no face of the source"):
        case.run(pasted[0], source=empty)


def test_without_a_second_embedder_its_part_is_null_with_the_reason(
    case: Case, pasted: tuple[Path, Any]
) -> None:
    folder = case.root / "data/swaps/alone"
    shutil.copytree(pasted[0], folder)
    alone = case.root / "data/packs/alone"
    alone.mkdir()
    (alone / "judge.json").write_text(json.dumps({"name": None, "reason": "no network here"}))
    found = case.run(folder, judge=alone)
    part = found["identity_independent"]
    assert part["source"] is part["target_copied"]["source"] is part["source_itself"] is None
    assert part["reason"] == found["judge"]["reason"] == "no network here"
    assert found["identity_cosine"] == pasted[1]["identity_cosine"]


def test_a_judge_that_the_pack_or_the_training_uses_is_refused(
    case: Case, pasted: tuple[Path, Any]
) -> None:
    given = json.loads((case.root / "data/packs/judge/judge.json").read_text())
    same = case.root / "data/packs/same"
    same.mkdir()
    own = load_pack(case.pack).path("embedder")
    shutil.copy(own, same / "own.onnx")
    content = given | {"name": "own", "file": "own.onnx", "sha256": sha256_of(own)}
    (same / "judge.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="circular"):
        case.run(pasted[0], judge=same)
    seen = {"name": given["name"], "sha256": given["sha256"]}
    model = case.root / "data/models/learned"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({"perceptual_networks": [seen]}))
    with pytest.raises(WeightsError, match="a training loss uses"):
        case.run(pasted[0], model=model)


def test_the_old_place_of_the_embedder_names_the_new_one(
    case: Case, pasted: tuple[Path, Any]
) -> None:
    Path("params.yaml").write_text("evaluate:\n  embedder: faceplugin\n" + PARAMS)
    with pytest.raises(ParamsError, match=r"judge: \{embedder: faceplugin\}"):
        case.run(pasted[0])


def test_a_number_of_baselines_is_asked_of_their_own_stage(
    case: Case, pasted: tuple[Path, Any]
) -> None:
    Path("params.yaml").write_text("evaluate:\n  baseline_frames: 12\n" + PARAMS)
    with pytest.raises(ParamsError, match=r"baselines: \{runs: 4\}"):
        case.run(pasted[0])


def test_an_unknown_gate_is_told_the_nearest_metrics(case: Case, pasted: tuple[Path, Any]) -> None:
    Path("params.yaml").write_text("evaluate:\n  gates: {identity: '> 1'}\n" + PARAMS)
    with pytest.raises(ParamsError, match=r"did you mean .*`identity_cosine`"):
        case.run(pasted[0])
