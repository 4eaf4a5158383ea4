"""Identities are added to and removed from params.yaml without touching anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flows.params_edit import add_identity, delete_identity, insert_identity, remove_identity
from likeness.contracts.errors import ParamsError

SLUGS = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True).filter(
    lambda s: s not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
)


def text_of(identities: dict[str, str], after: list[str]) -> str:
    lines = ["pack:", "  name: embedded  # or another", "", "identities:"]
    for name, consent in identities.items():
        lines += [f"  {name}:  # person", f"    consent: {consent}"]
    if not identities:
        lines[-1] = "identities: {}"
    return "\n".join([*lines, "", *after]) + "\n"


@given(
    st.dictionaries(SLUGS, SLUGS, max_size=4),
    SLUGS,
    st.sampled_from([[], ["models:", "  m:", "    family: x"], ["# end"], ["swaps: {}"]]),
)
def test_insert_then_delete_is_the_identity(
    known: dict[str, str], fresh: str, after: list[str]
) -> None:
    known.pop(fresh, None)
    text = text_of(known, after)
    grown = insert_identity(text, fresh, "c-1")
    content = YAML(typ="safe").load(grown)
    assert list(content["identities"]) == [*known, fresh]
    assert content["identities"][fresh] == {"consent": "c-1"}
    assert delete_identity(grown, fresh) == text


def test_a_file_without_the_section_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("pack:\n  name: embedded\n")
    add_identity(path, "ann", "ann-1")
    assert path.read_text().endswith("\nidentities:\n  ann:\n    consent: ann-1\n")
    remove_identity(path, "ann")
    assert YAML(typ="safe").load(path.read_text())["identities"] == {}


def test_a_layout_out_of_reach_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = "identities: {ann: {consent: ann-1}}\n"
    path.write_text(text)
    with pytest.raises(ParamsError, match="write `identities:` as a block"):
        add_identity(path, "ben", "ben-1")
    assert path.read_text() == text
