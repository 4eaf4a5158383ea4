"""No name out of a YAML file reaches a shell, and none names an output before it was checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from likeness.contracts import names
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import LikenessError
from likeness.contracts.names import PLACE, Filler, check_names
from tests.footage import make_clip_folder

FILES = ("dvc.yaml", "tasks/clip.dvc.yaml", "tasks/identity.dvc.yaml")


def stages(repository: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        for name, entry in load_yaml(repository / file)["stages"].items():
            yield f"{file}: {name}", entry.get("do", entry)


def test_no_command_interpolates_anything(repository: Path) -> None:
    """DVC puts values into the shell's line as they stand; places are filled in by the stage."""
    for name, stage in stages(repository):
        assert "${" not in stage["cmd"], f"{name}: write %key%, %clip% or %models.source% instead"
        assert not set(stage["cmd"]) & set("`$;&|<>*?'\"\\~(){}[]!#\n"), name


def test_names_are_checked_before_they_name_an_output(repository: Path) -> None:
    for name, stage in stages(repository):
        outs = [o if isinstance(o, str) else next(iter(o)) for kind in ("outs", "metrics", "plots")
                for o in stage.get(kind) or []]  # fmt: skip
        if any("${" in out for out in outs):
            lists = [d for d in stage["deps"] if d.startswith("data/code/")]
            assert lists, f"{name}: add its list, `- data/code/<stage>.txt`, to deps"
    # The lists come after the check, hence all that reads one.
    assert "data/names.txt" in load_yaml(repository / "dvc.yaml")["stages"]["code"]["deps"]


def test_every_place_is_one_that_is_filled_in(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "pack: {name: buffalo_l}\nmodels: {m: {source: ann, target: ben}}\n"
        "finetuned: {m: {source: ann, target: ben, init_from: n}}\n"
        "swaps: {m: {source: ann, target: take, model: m}}\n"
    )
    make_clip_folder(tmp_path / "data/clips", "take", identity="ann", consent="c", role="source")
    with (tmp_path / "data/clips/take/clip.yaml").open("a") as file:
        file.write("footage: footage.mp4\n")
    person = tmp_path / "data/identities/ann/identity.yaml"
    person.parent.mkdir(parents=True)
    person.write_text("identity: ann\nconsent: c\n")
    homes = {"tasks/clip.dvc.yaml": "data/clips/take/dvc.yaml:",
             "tasks/identity.dvc.yaml": "data/identities/ann/dvc.yaml:"}  # fmt: skip
    for name, stage in stages(repository):
        file, _, own = name.partition(": ")
        address = homes[file] + own if file in homes else f"{own}@m"
        filler = Filler(tmp_path / "params.yaml", address, tmp_path / "data")
        assert not PLACE.search(filler.fill(stage["cmd"])), name


EVIL = ["a; touch x", "$(touch x)", "`touch x`", "a b", "a'b", 'a"b', "a\nb", "-rf", "../../docs",
        "/etc/passwd", "", "A", "a/b", "a|b", "a&b", "a>b", "a*", "~", "%key%", "a\x00b", "é",
        1, 2.5, True, None, ["a"], {"a": 1}]  # fmt: skip
PLACES = [
    ("pack", "name"),
    *(("models", "m", key) for key in ("source", "target", "family")),
    *(("finetuned", "m", key) for key in ("source", "target", "family", "init_from")),
    *(("swaps", "m", key) for key in ("source", "target", "model")),
]


def write_params(path: Path, place: tuple[str, ...], value: object) -> None:
    """params.yaml with `value` at `place`, as JSON, which YAML reads."""
    content: dict[str, Any] = {}
    node = content
    for part in place[:-1]:
        node = node.setdefault(part, {})
    node[place[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_values_that_are_no_names_are_refused(tmp_path: Path, place: tuple[str, ...]) -> None:
    path = tmp_path / "params.yaml"
    for value in EVIL:
        write_params(path, place, value)
        with pytest.raises(Exception, match=r"params\.yaml:\d+: .*valid name|valid YAML") as caught:
            check_names(path, tmp_path / "data")
        assert "\n" not in str(caught.value)
    write_params(path, place, "ann-2")
    check_names(path, tmp_path / "data")


@pytest.mark.parametrize("section", ["pools", "models", "finetuned", "swaps"])
def test_keys_that_are_no_names_are_refused(tmp_path: Path, section: str) -> None:
    path = tmp_path / "params.yaml"
    for value in EVIL:
        if isinstance(value, str) and value != "a\x00b":
            write_params(path, (section, value), {})
            with pytest.raises(Exception, match="no valid name") as caught:
                check_names(path, tmp_path / "data")
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["clip", "identity", "consent", "footage"])
def test_documents_of_clips_hold_names_alone(tmp_path: Path, key: str) -> None:
    make_clip_folder(tmp_path / "data/clips", "take", identity="ann", consent="c", role="source")
    (tmp_path / "params.yaml").write_text("")
    path = tmp_path / "data/clips/take/clip.yaml"
    good = {"clip": "take", "identity": "ann", "consent": "c", "role": "source", "licence": "x"}
    for value in EVIL:
        if value in ("A", "") and key == "footage":
            continue
        path.write_text(json.dumps({**good, key: value}))
        with pytest.raises(Exception, match=r"clip\.yaml|no valid") as caught:
            check_names(tmp_path / "params.yaml", tmp_path / "data")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "place", "said"),
    [
        ("frames", "%clip%", "DVC does not say of which folder; run `dvc repro` in the folder"),
        ("data/clips/../../x/dvc.yaml:frames", "%clip%", "DVC does not say of which folder"),
        ("../take/dvc.yaml:frames", "%clip%", "DVC does not say of which folder"),
        ("train@a; touch x", "%key%", "`a; touch x` is no valid entry name"),
        ("", "%key%", "the stage was not started by DVC"),
        ("train@m", "%models.source%", "key `models.m.source` is missing"),
        ("train@m", "%nobody%", "DVC does not say of which folder"),
    ],
)
def test_a_stage_that_cannot_tell_its_name_says_so(
    tmp_path: Path, address: str, place: str, said: str
) -> None:
    (tmp_path / "params.yaml").write_text("models: {m: {}}\n")
    with pytest.raises(LikenessError) as caught:
        Filler(tmp_path / "params.yaml", address, tmp_path / "data").fill(place)
    assert said in str(caught.value)


@pytest.mark.parametrize("address", ["train@m", "dvc.yaml:train@m", "../../dvc.yaml:train@m"])
def test_a_key_is_told_from_any_folder(tmp_path: Path, address: str) -> None:
    assert Filler(tmp_path / "params.yaml", address).fill("data/models/%key%") == "data/models/m"


@pytest.mark.parametrize(
    ("folder", "address", "said"),
    [
        ("data/clips/ta $(touch x) ke", "frames", "ta $(touch x) ke` is no valid clip"),
        ("data/clips", "../../../clips/take/dvc.yaml:frames", "DVC does not say of which folder"),
        ("data/consents/take", "frames", "DVC does not say of which folder"),
        ("data/clips/take/deeper", "frames", "DVC does not say of which folder"),
        ("", "frames", "DVC does not say of which folder"),
    ],
)
def test_the_folder_that_dvc_was_started_in_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, address: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(names, "_started_in", lambda: str(tmp_path.resolve() / folder))
    with pytest.raises(LikenessError) as caught:
        Filler(tmp_path / "params.yaml", address, Path("data")).fill("%clip%")
    assert said in str(caught.value)
