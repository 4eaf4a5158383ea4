"""`likeness replace | rename | assign`: what they show, what they leave, and what they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from flows.footage import default_clip_name
from flows.graph import read_graph
from flows.preflight import check_repository
from flows.process import environment
from flows.remarks import remarks
from flows.renaming import retargeted
from likeness.contracts.catalog import identity_names, load_clip
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.faces import FACES
from tests.footage import make_clip
from tests.house import change_params, copy_repository, write_consent


def likeness(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *words],
        cwd=root,
        env={**environment(), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def house(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people with a clip each, whose files' names are hard, and a swap."""
    root = copy_repository(repository, tmp_path_factory.mktemp("takes") / "repo")
    films = root.parent
    for name, file in (("ann", "take: one.mp4"), ("ben", "映画.mp4")):
        write_consent(root, name)
        film = make_clip(films / "plain.mp4", frames=3, size=(64, 48)).rename(films / file)
        words = ("--identity", name, "--role", "target", "--consent", f"{name}-2026", "--yes")
        done = likeness(root, "add", str(film), *words)
        assert done.returncode == 0, done.stdout + done.stderr
    change_params(
        root,
        models={"m": {"family": "mesh_transfer", "source": "ann", "target": "ben"}},
        swaps={"s": {"source": "ann", "target": "ben-1", "model": "m"}},
    )
    return root


def test_files_with_hard_names_are_added(house: Path) -> None:
    assert (house / "data/clips/take-one/footage.mp4").is_file()
    assert load_clip(house / "data/clips/ben-1/clip.yaml").identity == "ben"


def test_a_days_work(house: Path) -> None:
    """A better take, another name, another person: valid after each, and shown before each."""
    better = make_clip(house.parent / "better.mov", frames=4, size=(64, 48))
    done = likeness(house, "replace", "ben-1", str(better), "--yes")
    assert done.returncode == 0, done.stderr
    shown = {line.strip() for line in done.stdout.splitlines() if line.startswith("  ")}
    assert "data/clips/ben-1/dvc.yaml:frames" in shown
    assert {"train@m", "publish@s", "data/identities/ben/dvc.yaml:shard"} <= shown
    assert not any("take-one" in address for address in shown)
    home = house / "data/clips/ben-1"
    assert (home / "footage.mov").read_bytes() == better.read_bytes()
    assert {p.name for p in home.glob("footage*")} == {"footage.mov", "footage.mov.dvc"}
    assert load_clip(home / "clip.yaml").footage == "footage.mov"
    check_repository(house)

    before = (house / "params.yaml").read_text()
    done = likeness(house, "rename", "ben-1", "studio", "--yes")
    assert done.returncode == 0, done.stderr
    assert "  data/clips/studio/dvc.yaml:frames" in done.stdout.splitlines()
    assert "swaps.s aims at studio now" in done.stdout
    after = (house / "params.yaml").read_text()
    assert after == before.replace("target: ben-1", "target: studio") != before
    assert not home.exists()
    check_repository(house)
    assert "data/clips/studio/dvc.yaml:align" in read_graph(house).nodes

    refused = likeness(house, "assign", "studio", "--identity", "ann")
    assert refused.returncode == 2
    assert "studio: is the last clip of `ben`, which is used by models.m, swaps.s" in refused.stderr
    write_consent(house, "ann", "ann-2027")
    done = likeness(
        house, "assign", "take-one", "--role", "source", "--consent", "ann-2027", "--yes"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("role: target -> source\nconsent: ann-2026 -> ann-2027\n")
    assert load_clip(house / "data/clips/take-one/clip.yaml").consent == "ann-2027"
    check_repository(house)

    change_params(house, models={}, swaps={})
    done = likeness(house, "assign", "studio", "--identity", "ann", "--yes")
    assert done.returncode == 0, done.stderr
    assert "removes identity `ben`, whose last clip this is" in done.stdout
    assert identity_names(house / "data") == ["ann"]
    check_repository(house)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rename", "none", "x"), "none: no such clip; known: "),
        (("rename", "take-one", "../x"), "`../x` is no valid clip name"),
        (("rename", "take-one", "take-one"), "take-one: is there already"),
        (("assign", "take-one", "--role", "extra"), "use source or target or driver"),
        (("assign", "take-one", "--identity", "eve"), "is a new identity without a consent record"),
        (("assign", "take-one", "--consent", "ben-2026"), "is about `ben`, not `ann`"),
        (("assign", "take-one"), "take-one: is all that already"),
        (("replace", "take-one", "none.mp4"), "none.mp4: does not exist"),
    ],
)
def test_refusals_are_one_line_and_change_nothing(
    house: Path,
    words: tuple[str, ...],
    said: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows.cli import main

    monkeypatch.chdir(house)
    with pytest.raises(SystemExit) as ended:
        main([*words, "--yes"])
    error = capfd.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert len([line for line in error if line.startswith("error: ")]) == 1
    assert said in error[-1]


def test_people_without_clips_and_clips_without_faces_are_told(house: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(house / "data", tmp_path / "data")).parent
    shutil.copytree(root / "data/identities/ann", root / "data/identities/eve")
    (root / "data/identities/eve/identity.yaml").write_text("identity: eve\nconsent: eve-2026\n")
    with Writer(FACES, root / "data/clips/take-one/faces.parquet") as writer:
        writer.add(pa.Table.from_batches([], FACES.schema))
        facts = dict.fromkeys(FACES.facts, 0)
        counts = {"another_person": 7, "too_small": 5, "blurred": 0}
        writer.facts.update(facts, detections=12, reject_counts=counts)
    lines = remarks(root)
    assert lines[0].startswith("identity `eve` has no clips; `likeness add` one, or `likeness rem")
    assert lines[1].startswith(
        "clip `take-one`: no face of `ann` was kept, of 12 detections (7 another person, "
        "5 too small); `likeness replace` it"
    )


def test_faces_that_could_not_be_aligned_are_told(house: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(house / "data", tmp_path / "data")).parent
    path = root / "data/clips/take-one/faces.parquet"
    box, five = [0.0] * 4, [0.0] * 10
    row = (0, 0, 0, box, 0.9, five, [1.0], 0.8, 9.0)
    with Writer(FACES, path) as writer:
        names = FACES.schema.names
        writer.add(pa.table({n: [v] for n, v in zip(names, row, strict=True)}, FACES.schema))
        writer.facts.update(dict.fromkeys(FACES.facts, 0))
    aligned = {"rows": 0, "left_out": {"mesh_disagrees": 1}}
    path.with_name("aligned.json").write_text(json.dumps(aligned))
    (line,) = [line for line in remarks(root) if "take-one" in line]
    assert line.startswith("clip `take-one`: no face of `ann` could be aligned (1 mesh disagrees)")
    path.with_name("aligned.json").write_text(json.dumps({"rows": 1}))
    assert not [line for line in remarks(root) if "take-one" in line]


def test_an_identity_without_clips_can_be_removed(house: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(house, tmp_path / "repo"))
    shutil.copytree(root / "data/identities/ann", root / "data/identities/eve")
    (root / "data/identities/eve/identity.yaml").write_text("identity: eve\nconsent: eve-2026\n")
    done = likeness(root, "remove", "eve", "--yes")
    assert done.returncode == 0, done.stderr
    assert not (root / "data/identities/eve").exists()
    refused = likeness(root, "remove", "ann", "--yes")
    assert refused.returncode == 2
    assert "is an identity that has clips; remove its clips (" in refused.stderr


@pytest.mark.parametrize("target", ["old", "'old'", '"old"  # why'])
def test_a_target_is_renamed_where_it_stands(target: str) -> None:
    text = f"swaps:\n  old:\n    source: old\n    target: {target}\n  b: {{target: older}}\n"
    grown = retargeted(text, ["old"], "new")
    assert grown == text.replace(f"target: {target}\n", f"target: {target}\n".replace("old", "new"))


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Änne Übung.mp4", "anne-ubung"),
        ("take: 1.mov", "take-1"),
        ("映画.mp4", ""),
        ("-a-.mp4", "a"),
    ],
)
def test_names_made_from_files(name: str, slug: str) -> None:
    assert default_clip_name(Path(name)) == slug
