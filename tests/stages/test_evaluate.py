"""Stage `evaluate` on real faces: a clip against itself, a paste, a blur, nothing, bad input."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from flows.cli import main
from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import FootageError, ParamsError, TableError, WeightsError
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.baselines import BASELINES
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.frames import FRAMES
from likeness.contracts.tables.per_frame import PER_FRAME
from likeness.contracts.tables.shards import SHARDS
from likeness.media.encode import Model, VideoWriter
from likeness.media.footage import open_footage
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.vision import alignment
from likeness.vision.blending import Box, warp_to_box
from likeness.vision.masks import hull_mask, to_bytes
from likeness.vision.pose import pose_from_mesh
from likeness.vision.templates import template
from models.analysers.features import with_outputs
from models.analysers.pack import Pack, load_pack
from tasks import baselines
from tasks._whole import LEAST_PX, facts_of, write_film
from tasks.evaluate import STAGE

SIZE_PX, MASK_PX = 192, 96
TARGET_FRAMES, SOURCE_FRAMES = range(4, 14), range(0, 60, 5)
PARAMS = """\
swaps:
  ann-on-ben: {source: ann, target: ben-talks, model: ann-ben}
"""
OUTPUTS = ("metrics.json", "per_frame.parquet", "curves.csv", "contact_sheet.jpg", "report.html")


@dataclass(frozen=True)
class Case:
    """A target clip and a source's shards; `root` is the working directory."""

    root: Path
    pack: Path

    @property
    def clip(self) -> Path:
        return self.root / "data/clips/ben-talks"

    @property
    def crops(self) -> Path:
        return self.root / "data/crops/ben/ben-talks.parquet"

    @property
    def shards(self) -> Path:
        return self.root / "data/shards/ann"

    def compare_with(self, path: Path, **replaced: Path) -> None:
        """Write baselines.parquet."""
        given: dict[str, Any] = {
            "pack": self.pack,
            "clip": self.clip / "clip.yaml",
            "frames": self.clip / "frames.parquet",
            "aligned": self.clip / "aligned.json",
            "source": self.shards,
            "baselines": path,
            **replaced,
        }
        pairs = [[f"--{key}", str(value)] for key, value in given.items()]
        baselines.STAGE.execute(["--swap", "ann-on-ben", *(p for pair in pairs for p in pair)])

    def run(self, swap: Path, **replaced: Path) -> Any:
        """Evaluate `swap` (a folder with converted.parquet, render.mp4); gives metrics.json."""
        (self.root / "data/models/ann-ben").mkdir(parents=True, exist_ok=True)
        given: dict[str, Any] = {
            "pack": self.pack,
            "judge": self.root / "data/packs/judge",
            "clip": self.clip / "clip.yaml",
            "frames": self.clip / "frames.parquet",
            "aligned": self.clip / "aligned.json",
            "source": self.shards,
            "model": self.root / "data/models/ann-ben",
            "baselines": self.root / "data/baselines.parquet",
            "converted": swap / "converted.parquet",
            "render": swap / "render.mp4",
            **replaced,
        }
        names = ("metrics", "per-frame", "curves", "contact-sheet", "html")
        given |= dict(zip(names, (swap / "report" / name for name in OUTPUTS), strict=True))
        pairs = [[f"--{key}", str(value)] for key, value in given.items()]
        STAGE.execute(["--swap", "ann-on-ben", *(part for pair in pairs for part in pair)])
        return json.loads((swap / "report/metrics.json").read_text())


def write_judge(case: Case) -> None:
    """A second embedder: the pack's own, but fed with BGR, so that it is not the same file."""
    folder = case.root / "data/packs/judge"
    folder.mkdir(parents=True)
    own = load_pack(case.pack).path("embedder").read_bytes()
    (folder / "other.onnx").write_bytes(with_outputs(own, ("/network/conv3/Conv_output_0",)))
    content = {
        "name": "other",
        "file": "other.onnx",
        "sha256": sha256_of(folder / "other.onnx"),
        "licence": "test",
        "colour_order": "BGR",
    }
    (folder / "judge.json").write_text(json.dumps(content))


def crop_rows(footage: Path, wanted: range, pack: Pack) -> dict[str, Any]:
    """Columns of align's crops for the largest face of some frames."""
    canonical, _ = pack.canonical_mesh()
    cells: dict[str, list[Any]] = {name: [] for name in CROPS.schema.names}
    for frame in open_footage(footage).frames(set(wanted)):
        rgb = frame.rgb()
        bbox, _, five = pack.detector.detect(rgb)
        mesh, _ = pack.mesh.run(rgb, five[:1], bbox[:1])
        affine = alignment.umeyama(five[0], template("ffhq_512", SIZE_PX))
        in_crop = alignment.apply_mesh(affine, mesh[0])
        values = {
            "frame_index": frame.frame_index,
            "pts_s": frame.pts_s,
            "shot_index": 0,
            "track_index": 0,
            "crop": encode_jpeg(alignment.warp_crop(rgb, affine, SIZE_PX), 95),
            "mask": to_bytes(hull_mask(in_crop, SIZE_PX, MASK_PX)),
            "affine_matrix": affine.reshape(-1),
            "landmarks_5": alignment.apply(affine, five[0]).reshape(-1),
            "landmarks_468": in_crop.reshape(-1),
            "pose_deg": pose_from_mesh(mesh[0], (rgb.shape[1], rgb.shape[0]), canonical),
            "similarity": 0.8,
            "sharpness": 50.0,
            "mesh_error": 0.03,
        }
        for name, value in values.items():
            cells[name].append(value)
    return {
        name: np.stack(column) if isinstance(column[0], np.ndarray) else column
        for name, column in cells.items()
    }


def write_target(case: Case, footage: Path, pack: Pack) -> None:
    """Footage, clip.yaml, frames.parquet, crops and aligned.json."""
    case.clip.mkdir(parents=True)
    case.crops.parent.mkdir(parents=True)
    shutil.copy(footage, case.clip / "footage.mp4")
    (case.clip / "clip.yaml").write_text(
        "clip: ben-talks\nidentity: ben\nrole: target\nconsent: ben\nlicence: test\n"
    )
    frames = list(open_footage(footage).frames())
    with Writer(FRAMES, case.clip / "frames.parquet") as writer:
        writer.add(
            {
                "frame_index": np.arange(len(frames)),
                "pts": [f.pts for f in frames],
                "pts_s": [f.pts_s for f in frames],
                "shot_index": np.zeros(len(frames)),
                "sharpness": np.ones(len(frames)),
                "perceptual_hash": np.zeros(len(frames)),
                "duplicate_of": [None] * len(frames),
                "decoded": [f.decoded for f in frames],
            }
        )
        writer.facts.update(dict.fromkeys(FRAMES.facts))
        writer.facts.update(footage_sha256=sha256_of(case.clip / "footage.mp4"))
    with Writer(CROPS, case.crops) as writer:
        writer.add(crop_rows(footage, TARGET_FRAMES, pack))
        writer.facts.update(dict.fromkeys(CROPS.facts))
        writer.facts.update(size_px=SIZE_PX, mask_size_px=MASK_PX)
    content = {"crops": "data/crops/ben/ben-talks.parquet", "sha256": sha256_of(case.crops)}
    (case.clip / "aligned.json").write_text(json.dumps(content | {"identity": "ben"}))


def write_source(case: Case, footage: Path, pack: Pack) -> None:
    """One shard of the source's faces."""
    case.shards.mkdir(parents=True)
    rows = crop_rows(footage, SOURCE_FRAMES, pack)
    rows |= {"clip": ["ann-film"] * len(rows["crop"])}
    rows |= {"sample_weight": np.ones(len(rows["crop"]))}
    with Writer(SHARDS, case.shards / "train-00000.parquet") as writer:
        writer.add(rows)
        writer.facts.update(dict.fromkeys(SHARDS.facts))
        writer.facts.update(identity="ann", size_px=SIZE_PX, mask_size_px=MASK_PX)


def write_swap(case: Case, name: str, picture: Any, rows: int | None = None) -> Path:
    """A swap whose crops are `picture(crop)`, laid in by the mask and encoded; gives its folder."""
    folder = case.root / "data/swaps" / name
    (folder / "report").mkdir(parents=True)
    table = CROPS.read(case.crops).slice(0, rows)
    crops = [np.asarray(picture(decode_jpeg(cell.as_py()))) for cell in table["crop"]]
    with Writer(CONVERTED, folder / "converted.parquet") as writer:
        writer.facts.update(dict.fromkeys(CONVERTED.facts, "test"))
        writer.facts.update(size_px=SIZE_PX, mask_size_px=MASK_PX)
        if crops:
            kept = table.select(["frame_index", "track_index", "mask", "affine_matrix"])
            columns = {key: kept[key] for key in kept.column_names}
            writer.add({**columns, "crop": [encode_jpeg(crop, 95) for crop in crops]})
    lay = dict(zip(table["frame_index"].to_pylist(), range(len(crops)), strict=True))
    affines = as_numpy(table["affine_matrix"], (2, 3))
    footage = open_footage(case.clip / "footage.mp4")
    with VideoWriter(folder / "render.mp4", footage, crf=12, preset="ultrafast") as video:
        for frame in footage.frames():
            rgb, row = frame.rgb(), lay.get(frame.frame_index)
            if row is not None:
                mask = np.frombuffer(table["mask"][row].as_py(), np.uint8)
                rgb = laid(rgb, crops[row], mask.reshape(MASK_PX, MASK_PX), affines[row])
            video.write_rgb(rgb, frame.pts)
    return folder


def laid(rgb: Any, crop: Any, mask: Any, affine: Any) -> Any:
    """The frame with a crop laid in by its mask."""
    box = Box(0, 0, rgb.shape[1], rgb.shape[0])
    above = warp_to_box(crop, affine, box).astype(np.float32)
    alpha = warp_to_box(cv2.resize(mask, (SIZE_PX, SIZE_PX)), affine, box)[..., None] / 255.0
    return np.round(rgb * (1 - alpha) + above * alpha).astype(np.uint8)


@pytest.fixture(scope="module")
def case(
    tmp_path_factory: pytest.TempPathFactory, shared: Path, pack_folder: Path
) -> Iterator[Case]:
    root = tmp_path_factory.mktemp("evaluate")
    made = Case(root, pack_folder.resolve())
    # The pack's own embedder under another name: quick, and here at any rate.
    write_judge(made)
    pack = load_pack(pack_folder)
    write_target(made, shared / "footage/single_face.mp4", pack)
    write_source(made, shared / "footage/lp_d10.mp4", pack)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path("params.yaml").write_text(PARAMS)
        made.compare_with(root / "data/baselines.parquet")
    yield made


@pytest.fixture(autouse=True)
def inside(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.root)
    Path("params.yaml").write_text(PARAMS)


@pytest.fixture(scope="module")
def pasted(case: Case) -> tuple[Path, Any]:
    """The source's first crop pasted into every face, and its metrics."""
    table = SHARDS.read(case.shards / "train-00000.parquet", ["crop"])
    source = decode_jpeg(table["crop"][0].as_py())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(case.root)
        Path("params.yaml").write_text(PARAMS)
        folder = write_swap(case, "pasted", lambda _: source)
        return folder, case.run(folder)


@pytest.fixture(scope="module")
def itself(case: Case) -> Any:
    """Metrics of the footage as its own render."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(case.root)
        Path("params.yaml").write_text(PARAMS)
        folder = write_swap(case, "itself", lambda crop: crop)
        shutil.copy(case.clip / "footage.mp4", folder / "render.mp4")
        return case.run(folder)


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


def test_unknown_gate_lists_the_metrics(case: Case, pasted: tuple[Path, Any]) -> None:
    Path("params.yaml").write_text("evaluate:\n  gates: {identity: '> 1'}\n" + PARAMS)
    with pytest.raises(ParamsError, match=r"choose from: .*identity_cosine\.source"):
        case.run(pasted[0])


def write_whole(case: Case, name: str, picture: Any) -> Path:
    """A film of whole crops `picture(crop)`, as `blend: {mode: crop}` writes it; its folder."""
    folder = write_swap(case, name, picture)
    footage = open_footage(case.clip / "footage.mp4")
    table = CONVERTED.read(folder / "converted.parquet", ["frame_index", "crop"])
    keys, cells = (table[name].to_pylist() for name in ("frame_index", "crop"))
    crops = dict(zip(keys, map(decode_jpeg, cells), strict=True))
    facts = facts_of(footage.facts, LEAST_PX)
    frames = list(footage.frames())
    with VideoWriter(folder / "render.mp4", Model(footage.path, facts), 12, "ultrafast") as video:
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
