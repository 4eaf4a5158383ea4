"""YAML documents: what is wrong is named with file, line, key and allowed values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.contracts import documents
from likeness.contracts.documents import Document
from likeness.contracts.errors import ParamsError
from likeness.contracts.sections import ModelEntry, SwapEntry, load_entry, load_section


class Inner(Document):
    size_px: int = 4


class Example(Document):
    mode: Literal["fast", "exact"] = "fast"
    inner: Inner = Inner()
    crf: int = 18


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_unknown_key_names_line_and_suggests(tmp_path: Path) -> None:
    path = write(tmp_path, "example:\n  mode: fast\n  crff: 20\n")
    with pytest.raises(ParamsError) as caught:
        load_section("example", Example, path)
    message = str(caught.value)
    assert "params.yaml:3" in message
    assert "example.crff" in message
    assert "did you mean `crf`" in message


def test_wrong_value_names_allowed_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "example:\n  mode: slow\n")
    with pytest.raises(ParamsError, match=r"params.yaml:2.*slow.*'fast' or 'exact'"):
        load_section("example", Example, path)


def test_wrong_type_in_nested_key(tmp_path: Path) -> None:
    path = write(tmp_path, "example:\n  inner:\n    size_px: wide\n")
    with pytest.raises(ParamsError, match=r"params.yaml:3.*example.inner.size_px: wide.*integer"):
        load_section("example", Example, path)


def test_nested_unknown_key_lists_the_level_it_stands_on(tmp_path: Path) -> None:
    path = write(tmp_path, "example:\n  inner:\n    size: 3\n")
    with pytest.raises(ParamsError, match=r"params.yaml:3.*allowed: size_px"):
        load_section("example", Example, path)


@pytest.mark.parametrize("text", ["a: [1, 2", "- 1\n- 2\n", "a: 1\na: 2\n"])
def test_text_that_is_no_mapping_is_one_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        documents.load_yaml(write(tmp_path, text))


def test_missing_section_means_defaults_and_overrides_win(tmp_path: Path) -> None:
    path = write(tmp_path, "other: {}\n")
    assert load_section("example", Example, path) == Example()
    assert load_section("example", Example, path, {"crf": 7}).crf == 7


def test_entries_keep_family_settings_and_name_known_ones(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "models:\n  m:\n    family: f\n    source: a\n    target: b\n    width: 9\n"
        "swaps:\n  s:\n    source: a\n    target: c\n    model: m\n    blen: {}\n",
    )
    assert load_entry("models", "m", ModelEntry, path).settings == {"width": 9}
    with pytest.raises(ParamsError, match="known: m"):
        load_entry("models", "x", ModelEntry, path)
    with pytest.raises(ParamsError, match=r"params.yaml:12.*blen.*did you mean `blend`"):
        load_entry("swaps", "s", SwapEntry, path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(), json_values))
def test_json_depends_on_content_alone(content: dict[str, object]) -> None:
    turned = dict(reversed(list(content.items())))
    assert documents.to_json(content) == documents.to_json(turned)


def test_folder_hash_sees_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = documents.sha256_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = documents.sha256_of(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, documents.sha256_of(tmp_path)}) == 3
