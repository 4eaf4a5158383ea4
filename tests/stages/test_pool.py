"""Stages pool and finetune: who is in, who is kept out, and what a model takes over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import ConsentError, LikenessError, ModelError, ParamsError
from models import tensorfile
from tasks.finetune import STAGE as FINETUNE
from tasks.pool import STAGE as POOL
from tasks.train import STAGE as TRAIN
from tasks.train import require_data
from tests.synthetic_shards import write_perceptual, write_recogniser, write_shards

PARAMS = """\
pools:
  people: {pool}
train: {{images: 32, batch_images: 4, log_every_images: 16}}
models:
  first:
    family: autoencoder
    source: ann
    target: ben
    size_px: 32
    width: 4
    train: {{precision: float32, images: 16}}
finetuned:
  onwards: {{init_from: first, family: {family}, source: ann, target: cid{more}}}
"""


class Place:
    """A folder with three data sets, their manifests and params.yaml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "manifests").mkdir()
        (folder / "people.json").write_text('{"identities": ["ann", "ben", "cid"]}')
        for seed, name in enumerate(("ann", "ben", "cid")):
            write_shards(folder / "shards" / name, name, 6, seed=seed)
            self.manifest(name)
        self.params()

    def params(self, pool: str = "{}", family: str = "autoencoder", more: str = "") -> None:
        text = PARAMS.format(pool=pool, family=family, more=more)
        (self.folder / "params.yaml").write_text(text)

    def manifest(self, name: str, **changes: Any) -> None:
        content = {"identity": name, "training": True, "train": {"rows": 6}, "pack": "p", **changes}
        for path in (f"shards/{name}/manifest.json", f"manifests/{name}.json"):
            (self.folder / path).write_text(json.dumps(content))

    def pool(self, name: str = "people") -> dict[str, Any]:
        out = self.folder / "shards" / name
        arguments = ["--pool", name, "--manifests", str(self.folder / "manifests")]
        arguments += ["--people", str(self.folder / "people.json")]
        params = str(self.folder / "params.yaml")
        POOL.execute([*arguments, "--out", str(out), "--params", params])
        content: dict[str, Any] = json.loads((out / "pool.json").read_text())
        return content

    def train(self, model: str, *more: str, source: str = "ann", target: str = "ben") -> None:
        stage = FINETUNE if more else TRAIN
        arguments = ["--model", model, "--out", str(self.folder / model)]
        arguments += ["--source", str(self.folder / "shards" / source)]
        arguments += ["--target", str(self.folder / "shards" / target)]
        for name in ("recogniser", "perceptual"):
            arguments += [f"--{name}", str(self.folder / name)]
        stage.execute([*arguments, *more, "--params", str(self.folder / "params.yaml")])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LIKENESS_THREADS", "1")
    write_recogniser(tmp_path / "recogniser")
    write_perceptual(tmp_path / "perceptual", None)
    return Place(tmp_path)


def test_all_takes_everybody_but_those_held_out(place: Place) -> None:
    place.params("{identities: all, held_out: [ben]}")
    content = place.pool()
    digest = {n: sha256_of(place.folder / f"manifests/{n}.json") for n in ("ann", "cid")}
    trained = [
        {"identity": n, "held_out": False, "manifest_sha256": digest[n], "train_rows": 6}
        for n in ("ann", "cid")
    ]
    held = {"identity": "ben", "held_out": True}
    assert content == {"pool": "people", "members": [trained[0], held, trained[1]], "left_out": []}


def test_new_footage_of_somebody_held_out_changes_nothing(place: Place) -> None:
    place.params("{held_out: [ben]}")
    place.pool()
    before = (place.folder / "shards/people/pool.json").read_bytes()
    place.manifest("ben", clips={"new": {}}, training=False)
    place.pool()
    assert (place.folder / "shards/people/pool.json").read_bytes() == before
    place.manifest("ann", clips={"new": {}})
    place.pool()
    assert (place.folder / "shards/people/pool.json").read_bytes() != before


def test_without_consent_all_leaves_out_and_a_list_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.manifest("cid", training=False)
    content = place.pool()
    reason = "the consent does not allow training"
    assert content["left_out"] == [{"identity": "cid", "reason": reason}]
    assert [member["identity"] for member in content["members"]] == ["ann", "ben"]
    assert f"cid is left out: {reason}" in capsys.readouterr().err
    place.params("{identities: [ann, cid]}")
    with pytest.raises(ConsentError, match=r"names `cid`, but the consent.*hold `cid` out"):
        place.pool()


def test_a_manifest_that_says_nothing_about_training_allows_none(place: Place) -> None:
    (place.folder / "manifests/cid.json").write_text('{"train": {"rows": 6}}')
    assert [p["identity"] for p in place.pool()["left_out"]] == ["cid"]


def test_whoever_has_no_crops_is_left_out(place: Place) -> None:
    place.manifest("ann", train={"rows": 0})
    place.params("{identities: [ann, ben]}")
    content = place.pool()
    assert content["left_out"] == [{"identity": "ann", "reason": "there are no crops to train on"}]


@pytest.mark.parametrize(
    ("pool", "error", "said"),
    [
        ("{identities: [ann, dan]}", ParamsError, "names `dan`, which is no identity"),
        ("{held_out: [dan]}", ParamsError, "known: ann, ben, cid"),
        ("{identities: [ann], held_out: [ann]}", ModelError, "leaves nobody to train on"),
        ("{identities: some}", ParamsError, r"pools\.people"),
        ("{heldout: [ann]}", ParamsError, "unknown key `pools.people.heldout`"),
    ],
)
def test_wrong_pools_are_named(
    place: Place, pool: str, error: type[LikenessError], said: str
) -> None:
    place.params(pool)
    with pytest.raises(error, match=said):
        place.pool()


def test_a_pool_has_a_name_of_its_own(place: Place) -> None:
    path = place.folder / "params.yaml"
    path.write_text(path.read_text().replace("people:", "ben:"))
    with pytest.raises(ParamsError, match="`ben` is a pool and an identity"):
        place.pool("ben")


def test_training_checks_that_the_pool_is_made_of_these_shards(place: Place) -> None:
    place.pool()
    folder = place.folder / "shards/people"
    require_data(folder, "people", "autoencoder")
    with pytest.raises(ModelError, match="is pool `people`, not `others`"):
        require_data(folder, "others", "autoencoder")
    place.manifest("cid", training=False)
    with pytest.raises(ModelError, match=r"cid/manifest.json: is not the data set.*dvc repro"):
        require_data(folder, "people", "autoencoder")


def weights(place: Place, model: str) -> dict[str, Any]:
    return tensorfile.read(place.folder / model / "model.safetensors")


def test_a_continued_model_takes_over_weights_and_settings(place: Place) -> None:
    place.params(more=", mask_weight: 0.5, train: {images: 0}")
    place.train("first")
    init = ["--init", str(place.folder / "first")]
    place.train("onwards", *init, target="cid")
    config = json.loads((place.folder / "onwards/config.json").read_text())
    assert (config["config"]["width"], config["config"]["mask_weight"]) == (4, 0.5)
    assert (config["precision"], config["images"], config["target"]) == ("float32", 0, "cid")
    before, after = (weights(place, model) for model in ("first", "onwards"))
    name = "encoder.down.0.0.weight" if "encoder.down.0.0.weight" in before else sorted(before)[0]
    assert (before[name] == after[name]).all()
    # What is measured and not learned is of the new people.
    assert (before["target_mean"] != after["target_mean"]).any()


def test_a_continued_model_learns_on(place: Place) -> None:
    place.train("first")
    place.train("onwards", "--init", str(place.folder / "first"), target="cid")
    before, after = (weights(place, model) for model in ("first", "onwards"))
    assert any((before[name] != after[name]).any() for name in before if "weight" in name)


def wrong(place: Place, **params: str) -> Callable[[], None]:
    place.params(**params)
    return lambda: place.train("onwards", "--init", str(place.folder / "first"), target="cid")


def test_another_family_or_size_cannot_be_continued(place: Place) -> None:
    with pytest.raises(ParamsError, match=r"`first` of autoencoder; set `family: autoencoder`"):
        wrong(place, family="mesh_transfer")()
    place.params()
    place.train("first")
    with pytest.raises(ModelError, match=r"first/model.safetensors: does not fit"):
        wrong(place, more=", width: 8")()
    with pytest.raises(ParamsError, match=r"unknown key `finetuned.onwards.widht`"):
        wrong(place, more=", widht: 8")()
