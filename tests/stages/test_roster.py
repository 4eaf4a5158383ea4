"""Stage `roster`: which clips, and whether their people still agree."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import CatalogError, ConsentError, ParamsError
from tasks.roster import STAGE
from tests import synthetic_faces as faces

TODAY = dt.datetime.now(tz=dt.UTC).date()


def run(root, identity="ann", consent="ann-2024"):
    out = root / "data/rosters" / f"{identity}.json"
    (root / "params.yaml").write_text("roster: {}\n")
    record = root / f"data/consents/{consent}.yaml"
    person = faces.write_identity(root, identity=identity, consent=consent)
    arguments = ["--identity", str(person), "--consent", str(record)]
    arguments += ["--clips", str(root / "data/clips"), "--roster", str(out)]
    STAGE.execute([*arguments, "--params", str(root / "params.yaml")])
    return out


def test_it_lists_the_identitys_clips_by_name(tmp_path):
    record = faces.write_consent(tmp_path)
    faces.write_consent(tmp_path, consent="ben-2024", identity="ben")
    faces.write_clip(tmp_path, "walk")
    faces.write_clip(tmp_path, "run", role="target")
    faces.write_clip(tmp_path, "sit", identity="ben", consent="ben-2024")
    content = json.loads(run(tmp_path).read_text())
    assert content == {
        "identity": "ann",
        "consent": "ann-2024",
        "consent_sha256": sha256_of(record),
        "training": True,
        "clips": [
            {"clip": "run", "role": "target", "licence": "test"},
            {"clip": "walk", "role": "source", "licence": "test"},
        ],
    }


def test_other_people_change_nothing(tmp_path):
    faces.write_consent(tmp_path)
    faces.write_clip(tmp_path, "walk")
    first = run(tmp_path).read_bytes()
    faces.write_consent(tmp_path, consent="ben-2024", identity="ben")
    faces.write_clip(tmp_path, "sit", identity="ben", consent="ben-2024")
    assert run(tmp_path).read_bytes() == first


def test_an_identity_without_clips_is_legal(tmp_path):
    faces.write_consent(tmp_path)
    (tmp_path / "data/clips").mkdir()
    assert json.loads(run(tmp_path).read_text())["clips"] == []


def test_a_new_consent_record_changes_it(tmp_path):
    faces.write_consent(tmp_path)
    faces.write_clip(tmp_path, "walk")
    first = run(tmp_path).read_bytes()
    faces.write_consent(tmp_path, training="false")
    second = json.loads(run(tmp_path).read_text())
    assert run(tmp_path).read_bytes() != first
    assert second["training"] is False


def day(offset: int) -> str:
    return str(TODAY + dt.timedelta(days=offset))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (f"expires: {day(-1)}\n", f"expired on {day(-1)}"),
        (f"revoked: {day(-3)}\n", f"was revoked on {day(-3)}; remove the clips of `ann`"),
    ],
)
def test_an_ended_consent_stops_the_graph(tmp_path, more, message):
    faces.write_consent(tmp_path, more=more)
    faces.write_clip(tmp_path, "walk")
    with pytest.raises(ConsentError, match=message) as caught:
        run(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data/rosters/ann.json").exists()


def test_an_ended_consent_leaves_with_one_line_and_code_2(tmp_path, capsys):
    faces.write_consent(tmp_path, more=f"expires: {day(-1)}\n")
    faces.write_clip(tmp_path, "walk")
    (tmp_path / "params.yaml").write_text("")
    record, clips = tmp_path / "data/consents/ann-2024.yaml", tmp_path / "data/clips"
    person = faces.write_identity(tmp_path)
    arguments = ["--identity", str(person), "--consent", str(record), "--clips", str(clips)]
    arguments += ["--roster", str(tmp_path / "r.json"), "--params", str(tmp_path / "params.yaml")]
    with pytest.raises(SystemExit) as caught:
        STAGE.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_consent_is_valid_on_its_last_day(tmp_path):
    faces.write_consent(tmp_path, more=f"expires: {day(0)}\n")
    faces.write_clip(tmp_path, "walk")
    assert run(tmp_path).exists()


def test_every_clips_own_record_counts(tmp_path):
    faces.write_consent(tmp_path)
    faces.write_consent(tmp_path, consent="ann-2020", roles="target")
    faces.write_clip(tmp_path, "walk")
    faces.write_clip(tmp_path, "old", consent="ann-2020")
    with pytest.raises(ConsentError, match=r"ann-2020\.yaml: allows target, not `source`"):
        run(tmp_path)
    faces.write_consent(tmp_path, consent="ann-2020", training="false")
    assert json.loads(run(tmp_path).read_text())["training"] is False


def test_a_clip_without_a_record_is_named(tmp_path):
    faces.write_consent(tmp_path)
    faces.write_clip(tmp_path, "walk", consent="lost")
    with pytest.raises(ConsentError, match=r"lost\.yaml: no consent record for `ann`"):
        run(tmp_path)


def test_a_slug_that_leaves_the_folder_is_refused(tmp_path):
    faces.write_consent(tmp_path)
    (tmp_path / "data/clips").mkdir()
    with pytest.raises(CatalogError, match="no valid identity name"):
        run(tmp_path, identity="../ann")


def test_an_identity_says_its_folders_name(tmp_path):
    faces.write_consent(tmp_path)
    faces.write_clip(tmp_path, "walk")
    person = faces.write_identity(tmp_path)
    person.parent.rename(person.parent.with_name("eve"))
    arguments = ["--identity", str(tmp_path / "data/identities/eve/identity.yaml")]
    arguments += ["--consent", str(tmp_path / "data/consents/ann-2024.yaml")]
    arguments += ["--clips", str(tmp_path / "data/clips"), "--roster", str(tmp_path / "r.json")]
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(CatalogError, match="says identity `ann`; rename the folder"):
        STAGE.execute([*arguments, "--params", str(tmp_path / "params.yaml")])


def test_a_broken_clip_is_named_with_its_line(tmp_path):
    faces.write_consent(tmp_path)
    clip = faces.write_clip(tmp_path, "walk")
    clip.write_text(clip.read_text() + "colour: red\n")
    with pytest.raises(ParamsError, match=r"clip\.yaml:7: unknown key `colour`"):
        run(tmp_path)
