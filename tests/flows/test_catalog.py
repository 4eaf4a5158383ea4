"""Footage comes in only when everything is in order, and leaves without a trace."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import additions, listing
from flows.cli import main
from flows.graph import read_graph
from flows.preflight import check_repository
from likeness.contracts.errors import GraphError, LikenessError
from tests.footage import make_audio, make_clip, make_clip_folder, make_stills
from tests.house import change_params, copy_repository, enrol, write_consent

Likeness = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def empty_house(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_repository(repository, tmp_path_factory.mktemp("empty") / "repo")
    write_consent(root, "ann")
    write_consent(root, "ben")
    return root


@pytest.fixture
def house(empty_house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one's own, the current folder during the test."""
    root = Path(shutil.copytree(empty_house, tmp_path / "repo"))
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def likeness(capfd: pytest.CaptureFixture[str]) -> Likeness:
    """Run `likeness ...` and return exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("film") / "Take 3.MP4.mp4", frames=6)


def everything(root: Path) -> dict[str, bytes]:
    """Content of the workspace; what DVC, git and Python keep for themselves left out."""
    own = {".dvc", ".git", ".likeness", "__pycache__"}
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not own & set(path.relative_to(root).parts)
    }


def test_adding_and_removing_a_clip(house: Path, film: Path, likeness: Likeness) -> None:
    before = everything(house)
    code, out, err = likeness("add", film, "--identity", "ann", "--role", "source",
                              "--consent", "ann-2026", "--yes")  # fmt: skip
    assert (code, err) == (0, "")
    home = house / "data/clips/take-3-mp4"
    assert {p.name for p in home.iterdir()} == {
        "clip.yaml", "dvc.yaml", "footage.mp4", "footage.mp4.dvc",
    }  # fmt: skip
    assert (home / "footage.mp4").read_bytes() == film.read_bytes()
    assert (home / "dvc.yaml").read_text() == (house / "tasks/clip.dvc.yaml").read_text()
    person = house / "data/identities/ann"
    assert (person / "identity.yaml").read_text() == "identity: ann\nconsent: ann-2026\n"
    assert (person / "dvc.yaml").read_text() == (house / "tasks/identity.dvc.yaml").read_text()
    # Said to run: its own five stages, its identity's three, and what looks at all of them.
    stages = [line.strip() for line in out.splitlines() if line.startswith("  ")]
    clip = "data/clips/take-3-mp4/dvc.yaml"
    assert set(stages) == {
        "code", "pack", "judge",
        *(f"{clip}:{s}" for s in ("frames", "detect", "filter", "align", "embed")),
        *(f"data/identities/ann/dvc.yaml:{s}" for s in ("roster", "shard", "appearance")),
        "names", "retrieval", "views",
    }  # fmt: skip
    graph = {node.address for node in read_graph(house).stages}
    assert graph - set(stages) == {"detectability", "perceptual"}

    code, out, _ = likeness("list", "--json")
    (row,) = json.loads(out)["clips"]
    assert (row["clip"], row["identity"], row["state"]) == ("take-3-mp4", "ann", "new")
    assert row["faces"] is None

    assert likeness("remove", "take-3-mp4", "--yes")[0] == 0
    assert everything(house) == before


def test_nothing_is_written_outside_the_folders_of_its_own(
    house: Path, film: Path, likeness: Likeness
) -> None:
    before = everything(house)
    likeness("add", film, "--identity", "ann", "--role", "target", "--consent", "ann-2026", "--yes")
    after = everything(house)
    assert {name: after[name] for name in before} == before
    own = ("data/clips/take-3-mp4/", "data/identities/ann/")
    assert all(name.startswith(own) for name in set(after) - set(before))


def test_a_folder_of_stills_is_footage(house: Path, tmp_path: Path, likeness: Likeness) -> None:
    stills = make_stills(tmp_path / "stills", frames=3)
    (stills / "notes.txt").write_text("not a picture")
    code, _, err = likeness("add", stills, "--identity", "ann", "--role", "source",
                            "--consent", "ann-2026", "--clip", "ann-stills", "--yes")  # fmt: skip
    assert (code, err) == (0, "note: stills: 1 file is left out (.txt is not read): notes.txt\n")
    home = house / "data/clips/ann-stills"
    assert len(list((home / "footage").iterdir())) == 3
    assert (home / "footage.dvc").is_file()
    assert "footage: footage\n" in (home / "clip.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--identity", "../ann"], "`../ann` is no valid identity name"),
        (["--identity", "ann", "--clip", "../../x"], "`../../x` is no valid clip name"),
        (["--identity", "ann", "--consent", "../x"], "`../x` is no valid consent name"),
        (["--identity", "ann", "--role", "extra"], "`extra` is unknown; use source or target"),
        (["--identity", "ann"], "new identity without a consent record; name its consent record"),
        (["--identity", "eve", "--consent", "eve-1"],
         "data/consents/eve-1.yaml: no consent record for `eve`"),
        (["--identity", "eve", "--consent", "ann-2026"],
         "data/consents/ann-2026.yaml: is about `ann`, not `eve`"),
        (["--identity", "dan", "--consent", "dan-2026"],
         "data/consents/dan-2026.yaml: key `use` is missing; add `use:`"),
        (["--identity", "fay", "--consent", "fay-2026"],
         "data/consents/fay-2026.yaml: was revoked on 2026-01-31"),
        (["--identity", "gil", "--consent", "gil-2026"],
         "data/consents/gil-2026.yaml: expired on 2020-01-31"),
    ],
)  # fmt: skip
def test_refusals_name_what_is_wrong_and_write_nothing(
    house: Path, film: Path, likeness: Likeness, arguments: list[str], message: str
) -> None:
    write_consent(house, "dan", use="")
    write_consent(house, "fay", revoked="2026-01-31")
    write_consent(house, "gil", expires="2020-01-31")
    before = everything(house)
    role = [] if "--role" in arguments else ["--role", "source"]
    code, _, err = likeness("add", film, *arguments, *role, "--yes")
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
    assert everything(house) == before


def test_a_role_that_was_not_agreed_to_is_refused(
    house: Path, film: Path, likeness: Likeness
) -> None:
    path = write_consent(house, "ann")
    path.write_text(path.read_text().replace("  - source\n", ""))
    code, _, err = likeness("add", film, "--identity", "ann", "--role", "source",
                            "--consent", "ann-2026", "--yes")  # fmt: skip
    assert code == 2
    assert "data/consents/ann-2026.yaml: allows target, not `source`" in err


@pytest.mark.parametrize("kind", ["empty", "text", "sound", "missing", "no stills"])
def test_bad_footage_is_refused_before_anything_is_written(
    house: Path, tmp_path: Path, likeness: Likeness, kind: str
) -> None:
    bad = tmp_path / "bad.mp4"
    if kind == "empty":
        bad.write_bytes(b"")
    elif kind == "text":
        bad.write_text("this is no film")
    elif kind == "sound":
        make_audio(bad)
    elif kind == "no stills":
        bad.mkdir()
    before = everything(house)
    code, _, err = likeness("add", bad, "--identity", "ann", "--role", "source",
                            "--consent", "ann-2026", "--yes")  # fmt: skip
    assert code == 2
    assert err.count("\n") == 1
    assert "bad.mp4" in err
    assert everything(house) == before


def test_a_failure_half_way_leaves_nothing(
    house: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write of `add` fails in turn; the workspace is as before each time."""
    new = additions.check_new_clip(
        film, house, identity="ann", role="source", consent="ann-2026", clip="one"
    )
    before = everything(house)
    for step in ("copy", "track", "enrol", "clip_text"):

        def fail(*_: object) -> None:
            raise GraphError("disk", "is full", "free space")

        with monkeypatch.context() as patched:
            patched.setattr(additions, step, fail)
            with pytest.raises(GraphError, match="disk: is full"):
                additions.add_clip(new, house)
        assert everything(house) == before, step
    assert not (house / "data/clips/one").exists()


def test_nobody_to_ask_means_no(house: Path, film: Path, likeness: Likeness) -> None:
    before = everything(house)
    code, _, err = likeness("add", film, "--identity", "ann", "--role", "source",
                            "--consent", "ann-2026")  # fmt: skip
    assert code == 2
    assert "add --yes" in err
    assert everything(house) == before


def place_clip(house: Path, clip: str, identity: str) -> None:
    """Put a clip's documents where `add` would, without footage."""
    make_clip_folder(
        house / "data/clips", clip, identity=identity, consent=f"{identity}-2026", role="target"
    )
    template = (house / "tasks/clip.dvc.yaml").read_text()
    (house / "data/clips" / clip / "dvc.yaml").write_text(template)


def test_what_is_in_use_is_not_removed(house: Path, likeness: Likeness) -> None:
    for clip in ("ann-1", "ben-1", "ben-2"):
        place_clip(house, clip, clip[:3])
    enrol(house, "ann", "ben")
    change_params(
        house,
        models={"ab": {"family": "mesh_transfer", "source": "ann", "target": "ben"}},
        swaps={"ann-on-ben": {"source": "ann", "target": "ben-1", "model": "ab"}},
    )
    before = everything(house)
    code, _, err = likeness("remove", "ann-1", "--yes")
    assert code == 2
    assert "is the last clip of `ann`, which is used by models.ab, swaps.ann-on-ben" in err
    code, _, err = likeness("remove", "ben-1", "--yes")
    assert code == 2
    assert "ben-1: as a target is used by swaps.ann-on-ben" in err
    code, _, err = likeness("remove", "carl", "--yes")
    assert code == 2
    assert "carl: no such clip; known: ann-1, ben-1, ben-2" in err
    assert everything(house) == before
    assert likeness("remove", "ben-2", "--yes")[0] == 0  # not the last of ben: ben stays
    kept = {name: content for name, content in before.items() if "/ben-2/" not in name}
    assert everything(house) == kept


def test_pools_and_continued_models_are_known(house: Path, likeness: Likeness) -> None:
    for clip in ("ann-1", "ben-1", "cid-1"):
        place_clip(house, clip, clip[:3])
        with (house / "data/clips" / clip / "clip.yaml").open("a") as file:
            file.write("footage: footage.mp4\n")
    write_consent(house, "cid")
    enrol(house, "ann", "ben", "cid")
    first = {"family": "autoencoder", "source": "ann", "target": "ann"}
    onwards = {**first, "init_from": "first", "target": "ben"}
    change_params(
        house,
        pools={"some": {"identities": ["ann", "ben"], "held_out": ["ben"]}, "everybody": {}},
        models={"first": first},
        finetuned={"onwards": onwards},
        swaps={"ann-on-ben": {"source": "ann", "target": "ben-1", "model": "onwards"}},
    )
    code, out, err = likeness("list", "--json")
    assert code == 0, err
    content = json.loads(out)
    assert content["pools"] == [
        {"pool": "some", "identities": 1, "held out": "ben", "crops": None},
        {"pool": "everybody", "identities": 3, "held out": "", "crops": None},
    ]
    assert [(row["model"], row["continues"]) for row in content["models"]] == [
        ("first", ""), ("onwards", "first"),
    ]  # fmt: skip
    assert listing.idle_pools("ben-1", house) == {"pool@some"}
    assert listing.idle_pools("cid-1", house) == {"pool@some"}
    assert listing.idle_pools("ann-1", house) == set()
    graph = read_graph(house)
    assert "pool@everybody" in graph.nodes
    shards = [f"data/identities/{name}/dvc.yaml:shard" for name in ("ann", "ben", "cid")]
    before = ("code", *shards[:2], "pack", "perceptual", "train@first")
    assert graph.upstream["finetune@onwards"] == before
    assert graph.upstream["pool@some"] == ("code", *shards, "names")
    code, _, err = likeness("remove", "ben-1", "--yes")
    assert code == 2
    assert "last clip of `ben`, which is used by pools.some, finetuned.onwards, swaps.ann-" in err
    code, out, _ = likeness("remove", "cid-1", "--yes")
    assert code == 0  # `all` names nobody
    assert "takes cid out of pools.everybody: its models will be trained anew" in out
    assert "pools.some" not in out


def test_wrong_pools_and_continued_models_are_one_line(house: Path, likeness: Likeness) -> None:
    entry = {"family": "autoencoder", "source": "ann", "target": "people"}
    base = {"models": {"m": entry}}
    enrol(house, "ann")
    cases: list[tuple[dict[str, object], str]] = [
        ({"pools": {}}, "`models.m.target: people` names no identity or pool; known: ann"),
        ({"pools": {"ann": {}}}, "`ann` is a pool and an identity"),
        ({"pools": {"people": {"held_out": ["eve"]}}}, "names `eve`, which is no identity"),
        (
            {"pools": {"people": {}}, "finetuned": {"f": {**entry, "init_from": "none"}}},
            "no entry `models.none`; known: m",
        ),
        (
            {"pools": {"people": {}}, "finetuned": {"m": {**entry, "init_from": "m"}}},
            "`m` stands under `models:` and under `finetuned:`",
        ),
    ]
    place_clip(house, "ann-1", "ann")
    for changes, said in cases:
        change_params(house, **{**base, "finetuned": {}, **changes})
        with pytest.raises(LikenessError) as caught:
            check_repository(house)
        assert said in str(caught.value)


def test_whoever_is_shown_must_have_agreed_to_it(house: Path) -> None:
    """A clip whose role is `source` may stand as a swap's target; its person must allow that."""
    for clip in ("ann-1", "ben-1"):
        place_clip(house, clip, clip[:3])
    path = house / "data/clips/ben-1/clip.yaml"
    path.write_text(path.read_text().replace("role: target", "role: source"))
    enrol(house, "ann", "ben")
    change_params(
        house,
        models={"ab": {"family": "mesh_transfer", "source": "ann", "target": "ben"}},
        swaps={"ann-on-ben": {"source": "ann", "target": "ben-1", "model": "ab"}},
    )
    check_repository(house)
    record = write_consent(house, "ben")
    record.write_text(record.read_text().replace("  - target\n", ""))
    with pytest.raises(LikenessError, match="allows source, not `target`"):
        check_repository(house)


def test_sync_copies_the_template_beside_each_clip(house: Path, likeness: Likeness) -> None:
    place_clip(house, "ann-1", "ann")
    enrol(house, "ann")
    assert "every clip and identity has the current stages" in likeness("sync", "--yes")[1]
    copies = {"clip": "data/clips/ann-1/dvc.yaml", "identity": "data/identities/ann/dvc.yaml"}
    for kind in copies:
        template = house / f"tasks/{kind}.dvc.yaml"
        template.write_text("# changed\n" + template.read_text())
    for command in ("list", "status", "swap"):  # before they fail of a clip without footage
        _, _, err = likeness(command)
        for kind, copy in copies.items():
            said = f"note: {copy} differs from tasks/{kind}.dvc.yaml; run `likeness sync`\n"
            assert err.count(said) == 1, (command, err)
    code, _, err = likeness("sync")
    assert code == 2
    assert "add --yes" in err
    assert "rewrote 2 files" in likeness("sync", "--yes")[1]
    for kind, copy in copies.items():
        assert (house / copy).read_text() == (house / f"tasks/{kind}.dvc.yaml").read_text()
    assert "differs" not in likeness("status")[2]
