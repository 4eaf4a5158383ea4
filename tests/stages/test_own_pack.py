"""Packs of one's own: whatever FaceAnalysis accepts, with its own threshold; and who runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from likeness.contracts.documents import read_json, sha256_of
from likeness.contracts.errors import LikenessError, ParamsError, WeightsError
from likeness.media.footage import open_footage
from likeness.media.pictures import read_image
from likeness.vision.tracks import overlaps
from models.analysers import providers
from models.analysers.features import TappedEmbedder
from models.analysers.observer import Observer
from models.analysers.pack import Pack, load_pack
from models.analysers.threshold import choose, embeddings, measure
from models.analysers.view import View
from tasks.pack import STAGE

Golden = dict[str, list[dict[str, Any]]]
DETECTOR, EMBEDDER = "det_retinaface.onnx", "rec_mobilefacenet.onnx"


def params(name: str, **more: object) -> str:
    lines = [f"  {key}: {value}" for key, value in {"name": name, **more}.items()]
    return "\n".join(["pack:", *lines, ""])


def build(folder: Path, text: str) -> Path:
    """Run stage `pack` on `folder`/weights and return what it wrote."""
    (folder / "params.yaml").write_text(text)
    (folder / "weights").mkdir(exist_ok=True)
    paths = {"weights": folder / "weights", "out": folder / "out", "recogniser": folder / "rec"}
    given = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    STAGE.execute([*given, "--params", str(folder / "params.yaml")])
    return folder / "out"


def fixed(source: Path, target: Path, shape: tuple[int, ...]) -> None:
    """The same network for one shape of input alone, as many packs have it."""
    model = onnx.load(str(source))
    for size, dimension in zip(shape, model.graph.input[0].type.tensor_type.shape.dim, strict=True):
        dimension.dim_value = size
    onnx.save(model, str(target))


def plain(pack: Path, own: Path) -> None:
    fixed(pack / DETECTOR, own / "scrfd_640.onnx", (1, 3, 640, 640))
    fixed(pack / EMBEDDER, own / "w_r.onnx", (1, 3, 112, 112))


def in_parts(pack: Path, own: Path) -> None:
    """Tensors in files beside the graphs."""
    for file in (DETECTOR, EMBEDDER):
        model = onnx.load(str(pack / file))
        more = {"save_as_external_data": True, "location": f"{file}.data", "size_threshold": 0}
        onnx.save(model, str(own / file), **more)


def with_manifest(pack: Path, own: Path) -> None:
    """insightface's manifest, version 2; the names say nothing, and a stranger lies beside."""
    (own / "nets").mkdir()
    (own / "nets/one.onnx").write_bytes((pack / DETECTOR).read_bytes())
    (own / "nets/two.onnx").write_bytes((pack / EMBEDDER).read_bytes())
    (own / "unused.onnx").write_bytes(b"not read")
    (own / "MODEL.LICENSE").write_text("none")
    tasks = {"detection": {"file": "nets/one.onnx"}, "recognition": {"file": "nets/two.onnx"}}
    about = {"manifest_version": 2, "model_id": "mine", "license": "MODEL.LICENSE", "tasks": tasks}
    (own / "manifest.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    content: Golden = json.loads((shared / "golden/analysis.json").read_text())
    return content


def assert_agrees(found: list[Any], faces: list[dict[str, Any]]) -> int:
    """Every sure face of the golden analysis is among `found`; returns how many."""
    sure = [face for face in faces if face["det_score"] >= 0.8]
    boxes = np.array([face.bbox for face in found], np.float32).reshape(-1, 4)
    for face in sure:
        shares = overlaps(np.array([face["bbox"]], np.float32), boxes)[0]
        assert shares.max() >= 0.5
        unit = found[int(shares.argmax())].embedding
        assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-5)
        assert unit @ np.array(face["normed_embedding"]) >= 0.9
    return len(sure)


def test_insightface_analyses_stills_as_the_golden_analysis(
    pack_folder: Path, shared: Path, golden: Golden
) -> None:
    stills = load_pack(pack_folder).stills
    photos = [name for name in golden if "#" not in name]
    found = sum(assert_agrees(stills.faces(read_image(shared / n)), golden[n]) for n in photos)
    assert found >= 20
    assert stills.faces(np.zeros((64, 48, 3), np.uint8)) == []


@pytest.mark.parametrize("lay", [plain, in_parts, with_manifest])
def test_a_pack_of_ones_own_runs_stills_and_films(
    lay: Callable[[Path, Path], None],
    pack_folder: Path,
    tmp_path: Path,
    shared: Path,
    golden: Golden,
) -> None:
    own = tmp_path / "weights/my_pack"
    own.mkdir(parents=True)
    lay(pack_folder, own)
    pack = load_pack(build(tmp_path, params("my_pack", threshold=0.4, licence="mine")))
    assert (pack.name, pack.threshold, pack.embedding_dim) == ("my_pack", 0.4, 128)
    mine = [w for w in pack.facts["weights"] if w["role"] in ("detector", "embedder")]
    assert [w["licence"] for w in mine] == ["mine", "mine"]
    assert all(sha256_of(pack.folder / w["member"]) == w["sha256"] for w in mine)
    assert not list(pack.folder.rglob("unused.onnx"))
    name = "photos/t1.jpg"
    assert assert_agrees(pack.stills.faces(read_image(shared / name)), golden[name]) >= 6
    assert_follows(pack, shared, golden)
    crops = np.full((3, 112, 112, 3), 90, np.uint8)
    tapped = TappedEmbedder(pack.path("embedder"), pack.networks.embedder)
    assert np.allclose(tapped.run(crops)[0], pack.embedder.embed_crops(crops), atol=1e-4)


def assert_follows(pack: Pack, shared: Path, golden: Golden) -> None:
    """The runner for films finds the golden faces of a frame, whole and in a window."""
    file, index = "footage/lp_s29.mp4", 30
    observer = Observer(pack)
    with open_footage(shared / file) as footage:
        frame = next(iter(footage.frames([index])))
        view = View(frame.planes(), footage.facts["colour_space"], footage.facts["colour_range"])
    faces = observer.scan(view)
    assert assert_agrees(faces, golden[f"{file}#{index}"]) == 1
    again = observer.look(view, faces[0], measure=True)
    assert again is not None
    assert again.embedding @ faces[0].embedding > 0.97


def headless(pack: Path, own: Path) -> None:
    model = onnx.load(str(pack / DETECTOR))
    del model.graph.output[6:]
    onnx.save(model, str(own / "det.onnx"))
    (own / EMBEDDER).write_bytes((pack / EMBEDDER).read_bytes())


def lonely(pack: Path, own: Path) -> None:
    (own / EMBEDDER).write_bytes((pack / EMBEDDER).read_bytes())


def blind(pack: Path, own: Path) -> None:
    (own / DETECTOR).write_bytes((pack / DETECTOR).read_bytes())


def damaged(pack: Path, own: Path) -> None:
    blind(pack, own)
    (own / EMBEDDER).write_bytes((pack / EMBEDDER).read_bytes()[:5000])


def broken_manifest(pack: Path, own: Path) -> None:
    with_manifest(pack, own)
    about = read_json(own / "manifest.json")
    about["tasks"]["detection"]["file"] = "../../outside.onnx"
    (own / "manifest.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("lay", "line"),
    [
        (headless, "gives no five points"),
        (lonely, "finds no face detector in it"),
        (blind, "finds no network for recognition in it"),
        (damaged, "insightface cannot load it"),
        (broken_manifest, "insightface cannot load it"),
        (lambda _pack, _own: None, "finds no face detector in it"),
    ],
)
def test_what_is_no_pack_is_refused_in_one_line(
    lay: Callable[[Path, Path], None], line: str, pack_folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "weights/mine"
    own.mkdir(parents=True)
    lay(pack_folder, own)
    with pytest.raises(WeightsError, match=line) as caught:
        build(tmp_path, params("mine", threshold=0.4))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (params("mine"), r"threshold .*PHOTOS.*`pack.threshold`"),
        (params("other", threshold=0.4), "choose from: buffalo_l, embedded, mine; or put its"),
        (params("embedded", threshold=0.4), "which knows its own"),
        (params('"../mine"'), "pack.name"),
        (params('"embedded; touch x"'), "pack.name"),
    ],
)
def test_a_pack_is_named_with_its_threshold(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "weights/mine").mkdir(parents=True)
    with pytest.raises(LikenessError, match=line):
        build(tmp_path, text)


def test_a_threshold_lies_between_one_person_and_two(
    pack_folder: Path, shared: Path, tmp_path: Path
) -> None:
    for person, photos in {
        "franck": ["franck_01829.jpg", "franck_02683.jpg", "franck_04117.jpg"],
        "lin": ["alex-lacamoire.png", "alex_lacamoire_img1.jpg"],
        "eileen": ["astronaut.png", "multi_face.jpg"],
    }.items():
        (tmp_path / person).mkdir()
        for name in photos:
            (tmp_path / person / name).symlink_to(shared / "photos" / name)
    text = measure(pack_folder, tmp_path)
    assert "4 pairs of one person" in text
    assert "11 pairs of two of 3 people" in text
    assert "0.0% of both kinds" in text
    assert "add photos before you rely on it" in text
    stills = load_pack(pack_folder).stills
    choice = choose(*embeddings(stills, tmp_path)[:2], tmp_path)
    assert choice.different[-1] < choice.threshold < choice.same[0]
    with pytest.raises(WeightsError, match="folder of photos for each of several people"):
        measure(pack_folder, tmp_path / "eileen")


def test_the_provider_is_said_once_and_never_replaced_in_silence(
    monkeypatch: pytest.MonkeyPatch, pack_folder: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIKENESS_PROVIDERS", "CUDA, cpu")
    with pytest.raises(ParamsError, match="asks for `CUDA`, which onnxruntime does not offer"):
        _ = load_pack(pack_folder).detector
    with pytest.raises(ParamsError, match="choose from: azure, cpu"):
        _ = load_pack(pack_folder).stills
    monkeypatch.setenv("LIKENESS_PROVIDERS", "cpuexecutionprovider")
    assert providers.chosen() == (["CPUExecutionProvider"], True)
    monkeypatch.delenv("LIKENESS_PROVIDERS")
    assert providers.chosen() == (["CPUExecutionProvider"], False)
    code = "import sys; from pathlib import Path; from models.analysers.pack import load_pack; "
    code += "p = load_pack(Path(sys.argv[1])); p.stills; p.detector; p.embedder"
    given = [sys.executable, "-c", code, str(pack_folder.resolve())]
    done = subprocess.run(given, capture_output=True, text=True, check=True)
    assert done.stderr == "networks: onnxruntime on CPUExecutionProvider\n"


def test_a_provider_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pack_folder: Path
) -> None:
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(providers, "offered", lambda: there)
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        _ = load_pack(pack_folder).detector
    assert "COULD NOT START CUDAExecutionProvider" in capsys.readouterr().err
    monkeypatch.setenv("LIKENESS_PROVIDERS", "cuda")
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(ParamsError, match="asks for CUDAExecutionProvider, which could not be"),
    ):
        _ = load_pack(pack_folder).detector
