"""YAML documents: read with their lines, or told in one line; nothing else ever comes out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

from likeness.contracts import yamltext
from likeness.contracts.catalog import Clip, Consent, Identity
from likeness.contracts.documents import Document, line_of, load_document, load_yaml
from likeness.contracts.errors import LikenessError, ParamsError
from likeness.contracts.pools import PoolEntry
from likeness.contracts.sections import ModelEntry, SwapEntry, load_entry
from tasks import _settings

HERE = Path("some.yaml")
CONSENT = """\
consent: ann-2026
identity: ann
roles: [source, target]
basis: signed
use: tests
training: true
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: \0", "some.yaml:2:4: is not valid YAML (control characters"),
        ("a: 1\nb: [", "some.yaml:3:1: is not valid YAML"),
        ("a: 1\na: 2", "some.yaml:2:1: has the key `a` twice"),
        ("expires: 2026-02-31", "some.yaml:1:10: `2026-02-31` is no number or day that exists"),
        ("a: " + "9" * 5000, "is no number or day that exists"),
        ("a: " + "[" * 300 + "]" * 300, "is nested too deeply"),
        ("a: " + "[" * 100_000 + "]" * 100_000, "is nested too deeply"),
        ("- " * 100_000 + "x", "is nested too deeply"),
        ("{a: " * 100_000, "is nested too deeply"),
        ("a: &x [*x]", "is nested too deeply"),
        ("? [1, 2]\n: 3", "has a key that is no text"),
        ("a: !!python/object:os.system x", "some.yaml:1:4: is not valid YAML"),
        ("a: !!set {x}", "has a value of type"),
        ("a: *nobody", "some.yaml:1:4: is not valid YAML (found undefined alias)"),
        ("a: \ud800", "some.yaml:1:4: is not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        yamltext.parse(text, HERE)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_alias_is_no_bomb() -> None:
    lines = ["a: &a [" + ", ".join(["x"] * 10) + "]"]
    lines += [
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdef", "bcdefg", strict=True)
    ]
    with pytest.raises(ParamsError, match="repeats itself too often"):
        yamltext.parse("\n".join(lines), HERE)


def test_values_are_those_that_dvc_reads(repository: Path) -> None:
    for name in ("params.yaml", "dvc.yaml", "prefect.yaml"):
        text = (repository / name).read_text()
        assert yamltext.parse(text, HERE) == YAML(typ="safe", pure=True).load(text)
    shared = yamltext.parse("base: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}", HERE)
    assert shared["own"] == {"x": 1, "y": 3}


def test_lines_are_known_and_a_caller_may_change_what_it_got(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a:\n  b: [1,\n    2]\nc: 3\n")
    content = load_yaml(path)
    assert [line_of(content, at) for at in [("a", "b"), ("a", "b", 1), ("c",)]] == [2, 3, 4]
    content["a"].clear()
    assert load_yaml(path)["a"] == {"b": [1, 2]}
    path.write_text("a: changed\n")
    assert load_yaml(path) == {"a": "changed"}


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    for path, said in ((tmp_path, "cannot be read"), (tmp_path / "latin.yaml", "is not UTF-8")):
        with pytest.raises(ParamsError, match=said):
            load_yaml(path)


class Knobs(Document):
    """Every kind of number."""

    count: int = 0
    share: float = 0.5
    maybe: int | None = None
    on: bool = False
    many: tuple[float, ...] = ()


@pytest.mark.parametrize("key", ["count", "share", "maybe", "on"])
@pytest.mark.parametrize(
    "value", ["'3'", ".inf", "-.inf", ".nan", "1" + "0" * 25, "[3]", "2026-01-01"]
)
def test_numbers_are_numbers_and_switches_are_switches(
    tmp_path: Path, key: str, value: str
) -> None:
    (tmp_path / "k.yaml").write_text(f"\n{key}: {value}\n")
    with pytest.raises(ParamsError, match=rf"k\.yaml:2: `{key}: "):
        load_document(Knobs, tmp_path / "k.yaml")


@pytest.mark.parametrize(
    "text", ["count: true", "share: false", "maybe: true", "on: 1", "many: [true]"]
)
def test_true_is_no_number(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.yaml").write_text(text)
    with pytest.raises(ParamsError, match="is not allowed"):
        load_document(Knobs, tmp_path / "k.yaml")


def test_plain_numbers_are_taken(tmp_path: Path) -> None:
    (tmp_path / "k.yaml").write_text("{count: 3, share: 1, maybe: null, on: true, many: [1, 2.5]}")
    assert load_document(Knobs, tmp_path / "k.yaml").share == 1.0


# ---- whatever anybody writes ---------------------------------------------------------------

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates()
)
WORDS = st.sampled_from(
    [*Consent.model_fields, *Clip.model_fields, *ModelEntry.model_fields, *SwapEntry.model_fields]
)
KEYS = st.one_of(WORDS, st.integers(), st.text(max_size=5), st.booleans(), st.none())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="[]{}:,-?&*!|>'\"%@`# \n\tab1.\0", max_size=60),
    st.builds(lambda a, b: CONSENT[:a] + b + CONSENT[a:], st.integers(0, 120), st.text(max_size=6)),
)


def dumped(tree: object) -> str:
    import yaml  # types of YAML 1.1, which is all the better

    return str(yaml.safe_dump(tree, allow_unicode=True))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.one_of(TEXTS, TREES.map(dumped)))
def test_a_document_is_valid_or_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "document.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    models: tuple[type[BaseModel], ...] = (Consent, Clip, Identity)
    for model in models:
        try:
            load_document(model, path)
        except LikenessError as error:
            assert "\n" not in str(error)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=TREES, section=st.sampled_from(["pools", "models", "finetuned", "swaps", "train"]))
def test_params_are_valid_or_told(tmp_path: Path, tree: Any, section: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(dumped({section: tree}))
    kinds: dict[str, type[BaseModel]] = {"models": ModelEntry, "pools": PoolEntry}
    try:
        _settings.check(path)
        for name in load_yaml(path).get(section) or {}:
            if section in kinds:
                load_entry(section, name, kinds[section], path)
    except LikenessError as error:
        assert "\n" not in str(error)


def test_a_day_that_exists_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONSENT + "expires: 2026-02-28\n")
    assert load_document(Consent, tmp_path / "c.yaml").expires == dt.date(2026, 2, 28)
