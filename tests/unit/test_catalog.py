"""Slugs, clips and consent: nothing leaves data/, nobody is used without a record."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.contracts import catalog
from likeness.contracts.errors import CatalogError, ConsentError, ParamsError

RECORD = """consent: ann-2026
identity: ann
roles:
  - source
basis: signed document
use: tests
training: true
"""
CLIP = "clip: take-1\nidentity: ann\nrole: source\nconsent: ann-2026\nlicence: own\n"


def record(folder: Path, text: str = RECORD) -> Path:
    path = folder / "ann-2026.yaml"
    path.write_text(text)
    return path


@given(st.text(max_size=20))
def test_slugs_never_hold_a_path(value: str) -> None:
    try:
        slug = catalog.require_slug("clip", value)
    except CatalogError:
        return
    assert not set(slug) & set("/\\. \n\0")


@pytest.mark.parametrize("slug", ["../x", "a/b", "", "-a", "A", "a" * 64, "a\n", "."])
def test_slugs_that_could_leave_data_are_refused(slug: str) -> None:
    with pytest.raises(CatalogError, match="a-z, 0-9"):
        catalog.clip_folder(slug)


def test_paths_from_yaml_stay_below_their_folder(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/")
    for bad in ("../x", "/etc/passwd", "a/../../x", "out/etc"):
        with pytest.raises(CatalogError, match="leaves"):
            catalog.below(tmp_path, bad)
    assert catalog.below(tmp_path, "a/b") == tmp_path / "a/b"


def test_missing_record_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConsentError, match=r"ann-2026.yaml: no consent record for `ann`"):
        catalog.require_consent(tmp_path / "ann-2026.yaml", "ann")


def test_record_that_lacks_a_key_says_which(tmp_path: Path) -> None:
    path = record(tmp_path, RECORD.replace("basis: signed document\n", ""))
    with pytest.raises(ParamsError, match="`basis` is missing"):
        catalog.require_consent(path, "ann")


@pytest.mark.parametrize(
    ("text", "identity", "role", "problem"),
    [
        (RECORD, "ben", "source", "is about `ann`"),
        (RECORD, "ann", "target", "allows source, not `target`"),
        (RECORD + "revoked: 2026-02-01\n", "ann", "source", "revoked on 2026-02-01"),
        (RECORD + "expires: 2026-02-01\n", "ann", "source", "expired on 2026-02-01"),
        (RECORD.replace("consent: ann", "consent: x"), "ann", "source", "says consent"),
    ],
)
def test_records_that_do_not_allow_the_use(
    tmp_path: Path, text: str, identity: str, role: catalog.Role, problem: str
) -> None:
    with pytest.raises(ConsentError, match=problem):
        catalog.require_consent(record(tmp_path, text), identity, role, dt.date(2026, 3, 1))


def test_stages_that_do_not_look_at_the_clock_accept_an_expired_record(tmp_path: Path) -> None:
    path = record(tmp_path, RECORD + "expires: 2026-02-01\n")
    assert catalog.require_consent(path, "ann", "source").expires == dt.date(2026, 2, 1)


def test_footage_is_the_named_file_or_the_only_one(tmp_path: Path) -> None:
    folder = tmp_path / "take-1"
    folder.mkdir()
    clip = folder / "clip.yaml"
    clip.write_text(CLIP)
    with pytest.raises(CatalogError, match="0 footage files"):
        catalog.footage_path(clip)
    (folder / "footage.mov").touch()
    (folder / "footage.mov.dvc").touch()
    assert catalog.footage_path(clip).name == "footage.mov"
    (folder / "footage.mp4").touch()
    with pytest.raises(CatalogError, match="2 footage files"):
        catalog.footage_path(clip)
    clip.write_text(CLIP + "footage: footage.mp4\n")
    assert catalog.footage_path(clip).name == "footage.mp4"
    clip.write_text(CLIP + "footage: ../footage.mp4\n")
    with pytest.raises(CatalogError, match="is no file name in the clip's folder"):
        catalog.footage_path(clip)


def test_clip_must_stand_in_the_folder_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "take-2"
    folder.mkdir()
    (folder / "clip.yaml").write_text(CLIP)
    with pytest.raises(CatalogError, match="says clip `take-1`"):
        catalog.load_clip(folder / "clip.yaml")


def test_demo_clips_have_valid_records(repository: Path) -> None:
    clips = catalog.list_clips(repository / "data")
    assert {c.identity for c in clips} >= {"woman", "man"}
    for clip in clips:
        path = repository / f"data/consents/{clip.consent}.yaml"
        catalog.require_consent(path, clip.identity, clip.role)
