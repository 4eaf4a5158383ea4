"""Stages `judge`, `probes`, `embed` and `retrieval`: who judges, and whose face is nearest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from likeness.contracts.errors import ParamsError, TableError, WeightsError
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.galleries import GALLERIES
from likeness.contracts.tables.probes import PROBES
from likeness.evaluation import views
from likeness.media.images import encode_jpeg
from likeness.media.pictures import read_image
from likeness.metrics import identity
from likeness.vision import alignment
from likeness.vision.templates import template
from models.analysers.circular import refuse_circular
from models.analysers.dlibface import DlibEmbedder, to_chip
from models.analysers.judge import load_judge
from models.analysers.pack import load_pack
from tasks.embed import STAGE as EMBED
from tasks.judge import STAGE
from tasks.probes import places
from tasks.retrieval import STAGE as RETRIEVAL
from tests import synthetic_faces

PHOTOS = {"franck": ("franck_02159.jpg", "franck_02221.jpg"), "ann": ("astronaut.png",)}


def judge(pack: Path, settings: str) -> dict[str, object]:
    Path("params.yaml").write_text(f"judge: {{{settings}}}\n")
    STAGE.execute(["--pack", str(pack.resolve()), "--out", "judge"])
    found: dict[str, object] = json.loads(Path("judge/judge.json").read_text())
    return found


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, pack_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_folder.resolve()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))


@pytest.fixture
def pack(pack_folder: Path, repository: Path) -> Path:
    return pack_folder if pack_folder.is_absolute() else repository / pack_folder


def unreachable(*_: object) -> dict[str, Path]:
    raise WeightsError("faceplugin", "cannot be downloaded: attempt 3 of 3", "connect")


def test_none_is_an_answer(pack: Path) -> None:
    found = judge(pack, "embedder: none")
    assert found["name"] is None
    loaded = load_judge(pack, Path("judge"))
    assert not loaded.has_second
    assert "asks for none" in loaded.second_facts["reason"]
    with pytest.raises(WeightsError, match="no second embedder"):
        loaded.second(np.zeros((1, 112, 112, 3), np.uint8))


def test_without_network_it_goes_on_and_says_so(
    pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tasks.judge.fetch", unreachable)
    found = judge(pack, "embedder: faceplugin")
    assert found["name"] is None
    assert "likeness fetch --second" in str(found["reason"])
    assert "attempt" not in str(found["reason"])  # what differs from run to run stays outside
    assert "NO SECOND EMBEDDER" in capsys.readouterr().err


def test_required_stops(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.judge.fetch", unreachable)
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        judge(pack, "embedder: faceplugin, required: true")
    assert not Path("judge").exists()


def test_dlib_that_is_not_installed_is_said_before_anything_is_fetched(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("tasks.judge.fetch", lambda names: pytest.fail("fetched"))
    with pytest.raises(WeightsError, match="needs dlib, which is not installed") as caught:
        judge(pack, "embedder: dlib")
    assert "[dlib]" in str(caught.value)
    assert not Path("judge").exists()


def test_dlibs_chip_holds_the_eyes_where_its_mean_face_has_them() -> None:
    eyes = alignment.apply(to_chip(), template("arcface_112", 112)[:2])
    assert eyes == pytest.approx(np.array([[47.73, 47.14], [100.28, 47.12]]), abs=0.05)
    assert alignment.scale(to_chip()) == pytest.approx(52.55 / 35.24, abs=0.01)


def test_a_file_that_is_not_dlibs_is_told(tmp_path: Path) -> None:
    pytest.importorskip("dlib", reason="dlib is an optional extra: pip install -e '.[dlib]'")
    (tmp_path / "other.dat").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        DlibEmbedder(tmp_path / "other.dat")


@pytest.mark.slow
def test_dlib_knows_people_again(
    pack: Path, shared: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dlib", reason="dlib is an optional extra: pip install -e '.[dlib]'")
    monkeypatch.setenv("LIKENESS_STATE", str(state_folder(repository)))
    found = judge(pack, "embedder: dlib")
    if found["name"] is None:
        pytest.skip(f"no network: {found['reason']}")
    assert (found["runtime"], found["file"]) == ("dlib", "dlib-resnet.dat")
    networks = load_judge(pack, Path("judge"))
    vectors = {}
    for person, files in PHOTOS.items():
        for file in files:
            rgb = read_image(shared / "photos" / file)
            five = load_pack(pack).detector.detect(rgb)[2][0]
            crop = alignment.warp_crop(
                rgb, alignment.umeyama(five, template("arcface_112", 112)), 112
            )
            vectors[person, file] = networks.second(crop[None])[0]
    franck = [v for (person, _), v in vectors.items() if person == "franck"]
    ann = next(v for (person, _), v in vectors.items() if person == "ann")
    assert len(ann) == networks.second_facts["dimension"] == 128
    assert np.linalg.norm(franck[0] - franck[1]) < 0.6 < np.linalg.norm(franck[0] - ann)
    assert identity.cosine(franck[0], franck[1]) > identity.cosine(franck[0], ann) + 0.03


def state_folder(repository: Path) -> Path:
    """Where downloads of this checkout lie, so that 100 MB are fetched once."""
    return repository / ".likeness"


def test_the_packs_own_embedder_is_refused_as_circular(pack: Path) -> None:
    with pytest.raises(WeightsError, match=r"pack `embedded`.*circular"):
        judge(pack, "embedder: mobilefacenet")
    facts = load_pack(pack).facts
    with pytest.raises(WeightsError, match="circular"):
        refuse_circular("copy", facts["sha256"][facts["files"]["embedder"]], facts)
    with pytest.raises(WeightsError, match="a training loss"):
        refuse_circular("other", "abc", facts, ("abc",))
    refuse_circular("other", "abc", facts)


def test_an_unknown_embedder_lists_the_known(pack: Path) -> None:
    with pytest.raises(ParamsError, match=r"choose from: faceplugin, dlib, none, .*arcface-r50"):
        judge(pack, "embedder: vgg")


def test_a_judge_that_changed_is_refused(pack: Path) -> None:
    judge(pack, "embedder: none")
    content = {"name": "x", "file": "x.onnx", "sha256": "0", "licence": "-", "colour_order": "RGB"}
    Path("judge/judge.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="dvc repro judge"):
        load_judge(pack, Path("judge"))


# --- retrieval ---


@pytest.fixture
def enrolled(pack: Path, shared: Path) -> dict[str, np.ndarray]:
    """Galleries of two people; the embedding of one photo each."""
    judge(pack, "embedder: none")
    loaded, found = load_judge(pack, Path("judge")), {}
    Path("probes").mkdir()
    for name, photos in PHOTOS.items():
        columns: dict[str, list[object]] = {"crop": [], "landmarks_5": []}
        for photo in photos:
            rgb = read_image(shared / "photos" / photo)
            _, _, five = loaded.pack.detector.detect(rgb)
            affine = alignment.umeyama(five[0], template("ffhq_512", 192))
            crop, points = alignment.warp_crop(rgb, affine, 192), alignment.apply(affine, five[0])
            columns["crop"].append(encode_jpeg(crop, 95))
            columns["landmarks_5"].append(points.reshape(-1))
            found[name] = loaded.embed(views.gallery_crop(crop, points)[None])[0][0]
        count = len(photos)
        rest = {n: [0] * count for n in ("frame_index", "shot_index", "track_index")}
        zeros = {n: [0.0] * count for n in ("pts_s", "similarity", "sharpness", "mesh_error")}
        shapes = {"affine_matrix": 6, "landmarks_468": 1404, "pose_deg": 3}
        flat = {n: np.zeros((count, length)) for n, length in shapes.items()}
        flat["pose_deg"][:, 0] = 5 * np.arange(count)
        flat["landmarks_468"] = np.random.default_rng(0).normal(96, 20, (count, 1404))
        write_crops(name, {**rest, **zeros, **flat, "mask": [b""] * count, **columns})
        embed(pack, name)
    return found


def write_crops(name: str, columns: dict[str, object]) -> None:
    for folder in (Path("crops"), Path("rosters")):
        folder.mkdir(exist_ok=True)
    with Writer(CROPS, Path("crops") / f"{name}-1.parquet") as writer:
        writer.add(columns)
        facts = {"clip": f"{name}-1", "identity": name, "pack": "embedded"}
        writer.facts.update(dict.fromkeys(CROPS.facts) | facts)
    roster = {"identity": name, "clips": [{"clip": f"{name}-1"}]}
    Path("rosters", f"{name}.json").write_text(json.dumps(roster))


def embed(pack: Path, name: str) -> Path:
    made = Path("galleries") / name / f"{name}-1.parquet"
    made.parent.mkdir(parents=True, exist_ok=True)
    given = {"pack": pack, "judge": "judge", "crops": f"crops/{name}-1.parquet", "gallery": made}
    EMBED.execute([part for k, v in given.items() for part in (f"--{k}", str(v))])
    return made


def probe(swap: str, source: str, embeddings: list[np.ndarray], embedder: str) -> None:
    with Writer(PROBES, Path("probes") / f"{swap}.parquet") as writer:
        if embeddings:
            unit = identity.unit(np.stack(embeddings)).astype(np.float32)
            frames = np.arange(len(unit), dtype=np.int32)
            writer.add({"frame_index": frames, "embedding": list(unit)})
        facts = {"swap": swap, "source": source, "embedder": embedder, "independent": False}
        writer.facts.update(facts, frames=len(embeddings))


def retrieve(pack: Path, swaps: str) -> dict[str, object]:
    Path("people.json").write_text('{"identities": ["ann", "franck", "nobody"]}')
    Path("params.yaml").write_text(f"swaps: {{{swaps}}}\n")
    roster = {"identity": "nobody", "clips": []}
    Path("rosters/nobody.json").write_text(json.dumps(roster))
    folders = {name: name for name in ("judge", "probes", "galleries", "rosters")}
    folders |= {"pack": str(pack), "people": "people.json"}
    RETRIEVAL.execute(
        [part for k, v in {**folders, "metrics": "out.json"}.items() for part in (f"--{k}", v)]
    )
    found: dict[str, object] = json.loads(Path("out.json").read_text())
    return found


def test_faces_are_found_as_who_they_are(pack: Path, enrolled: dict[str, np.ndarray]) -> None:
    own = "embedded (pack)"
    probe("right", "franck", [enrolled["franck"]] * 3, own)
    probe("copied", "franck", [enrolled["ann"]] * 2, own)
    probe("empty", "ann", [], own)
    found = retrieve(pack, "right: {}, copied: {}, empty: {}")
    assert found["swaps"] == {
        "right": {"top_1": 1.0, "frames": 3, "expected": "franck", "found": {"franck": 3}},
        "copied": {"top_1": 0.0, "frames": 2, "expected": "franck", "found": {"ann": 2}},
        "empty": {"top_1": None, "frames": 0, "expected": "ann", "found": {}},
    }
    assert found["gallery"] == {"ann": 1, "franck": 2}
    assert (found["top_1"], found["chance"]) == (0.6, 0.5)
    assert found["embedder"] == {"name": own, "independent": False, "circular": True}


def test_a_clip_is_embedded_once_of_nearly_the_same_faces(
    pack: Path, enrolled: dict[str, np.ndarray]
) -> None:
    made = Path("galleries/franck/franck-1.parquet")
    rows = GALLERIES.read(made).to_pydict()
    assert np.linalg.norm(rows["normed_embedding"], axis=1) == pytest.approx(1, abs=1e-5)
    assert rows["judge_embedding"] == [None, None]
    want = enrolled["franck"] / np.linalg.norm(enrolled["franck"])
    assert np.array(rows["normed_embedding"][1]) @ want == pytest.approx(1, abs=1e-3)
    facts = GALLERIES.check(made)
    assert (facts["clip"], facts["pack"], facts["judge"]) == ("franck-1", "embedded", None)
    before = made.read_bytes()
    assert embed(pack, "franck").read_bytes() == before
    Path("params.yaml").write_text("embed: {thin_pose_deg: 45, thin_expression: 99}\n")
    assert GALLERIES.count(embed(pack, "franck")) == 1
    Path("params.yaml").write_text("embed: {max_mesh_error: 0.0001, thin_pose_deg: 0}\n")
    assert GALLERIES.count(embed(pack, "franck")) == 2


def test_retrieval_reads_vectors_alone_and_those_that_it_is_asked_for(
    pack: Path, enrolled: dict[str, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    probe("right", "franck", [enrolled["franck"]], "embedded (pack)")
    capfd.readouterr()
    retrieve(pack, "right: {}")
    said = capfd.readouterr().err
    assert "retrieval: rows read: gallery 3, probes 1\n" in said
    assert "retrieval: faces compared: 3 in" in said
    assert "onnxruntime" not in said
    content = retrieve(pack, "right: {}}\nretrieval: {gallery_faces: 1")
    assert content["gallery"] == {"ann": 1, "franck": 1}


def test_a_gallery_of_another_embedder_is_refused(
    pack: Path, enrolled: dict[str, np.ndarray]
) -> None:
    probe("right", "franck", [enrolled["franck"]], "other")
    about = json.loads(Path("judge/judge.json").read_text())
    Path("judge/judge.json").write_text(json.dumps(about | {"name": "other"}))
    with pytest.raises(TableError, match=r"is of embedder None, not other; .*ann-1/dvc.yaml:embed"):
        retrieve(pack, "right: {}")


def test_probes_of_another_embedder_are_refused(
    pack: Path, enrolled: dict[str, np.ndarray]
) -> None:
    probe("right", "franck", [enrolled["franck"]], "another")
    with pytest.raises(TableError, match="another embedder"):
        retrieve(pack, "right: {}")
    with pytest.raises(TableError, match="dvc repro probes@gone"):
        retrieve(pack, "gone: {}")


def test_probes_follow_one_of_two_faces(tmp_path: Path) -> None:
    """Of two swapped faces of like size it is that on the track asked for, in every frame."""
    poses = [(0.0, 0.0)] * 4
    five = template("ffhq_512", synthetic_faces.SIZE_PX).astype(np.float32)
    sizes = [1.0, 1.1, 1.1, 1.0]  # which is larger changes from frame to frame
    affines = [[s, 0, -100.0 * (i % 2), 0, s, 0] for i, s in enumerate(sizes)]
    rows = synthetic_faces.crop_rows(
        poses,
        np.zeros((468, 3)),
        frame_index=np.array([0, 0, 1, 1], np.int32),
        track_index=np.array([0, 1, 0, 1], np.int32),
        affine_matrix=np.array(affines),
        landmarks_5=np.tile(five.reshape(10), (4, 1)),
    )
    crops = synthetic_faces.write_crops(tmp_path / "ann/take.parquet", rows)
    for track in (0, 1):
        found = places(crops, {0: track, 1: track})
        corner = [alignment.invert(found[frame])[:, 2] for frame in (0, 1)]
        assert [bool(x > 50) for x, _ in corner] == [bool(track)] * 2
