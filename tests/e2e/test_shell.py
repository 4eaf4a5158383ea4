"""YAML files that somebody else wrote run nothing: the door is plain `dvc repro`, no preflight."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.process import environment
from tests.footage import make_clip, make_clip_folder
from tests.house import change_params, copy_repository, enrol, write_consent

MARK = "executed"
EVIL = [
    f"a; touch {MARK}; true",
    f"$(touch {MARK})",
    f"`touch {MARK}`",
    f"a' 'b; touch {MARK}",
    f'a"; touch {MARK}; "',
    f"a\ntouch {MARK}",
    f"a && touch {MARK}",
]


@pytest.fixture(scope="module")
def prepared(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one person, one clip and one precious folder."""
    root = copy_repository(repository, tmp_path_factory.mktemp("shell") / "repo")
    write_consent(root, "ann")
    enrol(root, "ann")
    home = root / "data/clips"
    make_clip_folder(home, "take", identity="ann", consent="ann-2026", role="target")
    with (home / "take/clip.yaml").open("a") as file:
        file.write("footage: footage.mp4\n")
    shutil.copyfile(root / "tasks/clip.dvc.yaml", home / "take/dvc.yaml")
    (root / "precious").mkdir()
    (root / "precious/only-copy.txt").write_text("years of work")
    return root


@pytest.fixture
def house(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "repo"))


def repro(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    done = subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0, done.stdout
    assert not list(root.rglob(f"*{MARK}*")), "a value from YAML was run"
    assert (root / "precious/only-copy.txt").read_text() == "years of work"
    return done


def entry(**changes: str) -> dict[str, str]:
    return {"family": "mesh_transfer", "source": "ann", "target": "ann", **changes}


def swap(**changes: str) -> dict[str, str]:
    return {"source": "ann", "target": "take", "model": "m", **changes}


def test_entries_of_params_run_nothing(house: Path) -> None:
    """Neither in the whole graph, where `names` comes first, nor where a stage is named alone."""
    keys = {f"{key}-{i}": entry() for i, key in enumerate(EVIL)}
    change_params(
        house,
        pack={"name": "embedded; touch executed; true"},
        models={"m": entry(source=EVIL[0], target=EVIL[1]), **keys},
        pools={EVIL[2]: {}},
        swaps={"s": swap(source=EVIL[3], target=EVIL[4], model=EVIL[5]), EVIL[6]: swap()},
    )
    done = repro(house)
    assert "error: params.yaml:" in done.stderr
    assert "`pack.name` names 'embedded; touch executed; true', which is no valid" in done.stderr
    for address in ("pack", "train@m", "convert@s", f"publish@{EVIL[6]}", f"train@{EVIL[0]}-0"):
        repro(house, "--single-item", address)


def test_names_that_lead_elsewhere_delete_nothing(house: Path) -> None:
    """DVC removes a stage's outputs before it runs it."""
    change_params(house, models={"../../precious": entry()})
    assert "`models` names '../../precious', which is no valid name" in repro(house).stderr


CLIP, PERSON = "data/clips/take/clip.yaml", "data/identities/ann/identity.yaml"


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        (CLIP, "footage", f"a$(touch {MARK}).mp4"),
        (CLIP, "identity", EVIL[1]),
        (PERSON, "consent", EVIL[4]),
    ],
)
def test_documents_run_nothing(house: Path, file: str, key: str, value: str) -> None:
    lines = [line for line in (house / file).read_text().splitlines() if f"{key}:" not in line]
    (house / file).write_text("\n".join([*lines, f"{key}: {json.dumps(value)}"]) + "\n")
    assert "error: " in repro(house).stderr
    stage = "frames" if file == CLIP else "roster"
    repro(house, "--single-item", f"{Path(file).parent}/dvc.yaml:{stage}")


@pytest.mark.parametrize("footage", ["/etc/passwd", "../take/footage.mp4"])
def test_footage_is_a_name_in_the_clips_folder(house: Path, footage: str) -> None:
    path = house / CLIP
    path.write_text(path.read_text().replace("footage.mp4", footage))
    error = repro(house).stderr
    assert f"`footage: '{footage}'` is no file name in the clip's folder" in error


def test_stages_of_a_folder_start_in_it(house: Path) -> None:
    """DVC gives addresses relative to where it was started: `frames`, `../ann/dvc.yaml:roster`."""
    make_clip(house / "data/clips/take/footage.mp4", frames=4, size=(64, 48))
    frames, rosters = house / "data/clips/take/frames.parquet", house / "data/rosters"
    for folder, address in (
        ("data/clips/take", "frames"),
        ("data/identities/ann", "roster"),
        ("data/clips", "../identities/ann/dvc.yaml:roster"),
    ):
        command = [sys.executable, "-m", "dvc", "repro", "--force", address]
        subprocess.run(command, cwd=house / folder, env=environment(), check=True)
        assert frames.is_file()
        assert (rosters / "ann.json").is_file() == (address != "frames")
        shutil.rmtree(rosters, ignore_errors=True)
