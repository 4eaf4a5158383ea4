"""One more clip costs one more clip: which stages run for it, and which rows each of them reads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.clips import clip_text
from flows.process import environment
from likeness.contracts.catalog import Clip
from likeness.contracts.tables.base import Table
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.detections import DETECTIONS
from likeness.contracts.tables.faces import FACES
from likeness.contracts.tables.frames import FRAMES
from likeness.contracts.tables.galleries import GALLERIES
from likeness.contracts.tables.probes import PROBES
from likeness.contracts.tables.shards import SHARDS
from tests.e2e.forked import use_forks
from tests.e2e.test_house import add
from tests.house import (
    change_params,
    copy_repository,
    cut,
    enrol,
    link_downloads,
    write_consent,
)

pytestmark = [pytest.mark.slow(seconds=60), pytest.mark.timeout(600)]  # a hundred stages

# Film and number of clips; the first is swapped onto the second.
PEOPLE = {
    "woman": ("WolfgangLanger_Pexels.mp4", 2),
    "man": ("single_face.mp4", 2),
    "ann": ("lp_d10.mp4", 2),
    "ben": ("lp_d14.mp4", 2),
    "cid": ("lp_d19.mp4", 2),
    "dan": ("clm_franck.mp4", 2),
}
FRAMES_EACH, SWAP = 6, "woman-on-man"
NEW, WHOSE = "ann-3", "ann"
Reads = dict[str, dict[str, int]]


def take(shared: Path, folder: Path, identity: str, number: int) -> Path:
    """A piece of an identity's film, another for each number."""
    first = 12 * number
    film = shared / "footage" / PEOPLE[identity][0]
    target = folder / f"{identity}-{number}.mp4"
    return cut(film, target, range(first, first + 2 * FRAMES_EACH, 2))


def lay(root: Path, film: Path, identity: str, clip: str) -> None:
    """A clip's folder, in a thirtieth of the time of `likeness add`, without its checks."""
    folder = root / "data/clips" / clip
    folder.mkdir()
    shutil.copyfile(film, folder / "footage.mp4")
    shutil.copyfile(root / "tasks/clip.dvc.yaml", folder / "dvc.yaml")
    record = Clip(
        clip=clip, identity=identity, role="target", consent=f"{identity}-2026",
        licence="test", footage="footage.mp4",
    )  # fmt: skip
    (folder / "clip.yaml").write_text(clip_text(record))


@pytest.fixture
def village(repository: Path, shared: Path, tmp_path: Path) -> Iterator[Path]:
    """Twelve clips of six people, one of whom is swapped onto another; all up to date."""
    root = copy_repository(repository, tmp_path / "repo")
    link_downloads(repository, root)
    enrol(root, *PEOPLE)
    for identity, (_, count) in PEOPLE.items():
        write_consent(root, identity)
        for number in range(1, count + 1):
            film = take(shared, tmp_path, identity, number)
            lay(root, film, identity, f"{identity}-{number}")
    entry = {"source": "woman", "target": "man"}
    change_params(
        root,
        models={"mesh": {"family": "mesh_transfer", **entry}},
        swaps={SWAP: {"source": "woman", "target": "man-1", "model": "mesh"}},
    )
    with use_forks(root, repository):
        assert len(list((root / "data/clips").iterdir())) == 12
        repro(root)
        yield root


def repro(root: Path) -> Reads:
    """What `dvc repro` runs: address of each stage -> rows that it reads, by kind of table."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found: Reads = {}
    for line in done.stdout.splitlines():
        if started := re.match(r"Running stage '(.*)':", line):
            found[started[1]] = {}
        elif said := re.match(r"(\w+): rows read: (.*)", line):
            address = list(found)[-1]
            assert re.split("[:@]", address)[1 if ":" in address else 0] == said[1]
            pairs = (part.rsplit(" ", 1) for part in said[2].split(", "))
            found[address] = {name: int(count) for name, count in pairs}
    return found


def rows(table: Table, folder: Path, pattern: str) -> int:
    return sum(table.count(path) for path in folder.glob(pattern))


def expected(root: Path) -> Reads:
    """What should run for the new clip, and read: its own rows, its person's, and vectors."""
    data, clip, person = root / "data", f"data/clips/{NEW}/dvc.yaml", f"data/identities/{WHOSE}"
    home, crops = data / "clips" / NEW, CROPS.count(data / f"crops/{WHOSE}/{NEW}.parquet")
    frames, faces = FRAMES.count(home / "frames.parquet"), FACES.count(home / "faces.parquet")
    found = DETECTIONS.count(home / "detections.parquet")
    train = rows(SHARDS, data, f"shards/{WHOSE}/train-*.parquet")
    people = [f"data/identities/{name}/dvc.yaml:roster" for name in PEOPLE]
    return {
        "names": {},
        **{address: {} for address in people},
        f"{clip}:frames": {},
        f"{clip}:detect": {"frames": frames},
        f"{clip}:filter": {"frames": frames, "detections": 2 * found},
        f"{clip}:align": {"faces": 2 * faces, "frames": frames},
        f"{clip}:embed": {"crops": 2 * crops},
        # Seconds, meshes, pictures: each pass once over all clips of this person.
        f"{person}/dvc.yaml:shard": {"crops": 3 * rows(CROPS, data, f"crops/{WHOSE}/*.parquet")},
        f"{person}/dvc.yaml:appearance": {"shards": 2 * train},
        "views": {},
        "retrieval": {
            "gallery": rows(GALLERIES, data, "galleries/*/*.parquet"),
            "probes": rows(PROBES, data, f"probes/{SWAP}.parquet"),
        },
    }


def test_one_more_clip_costs_one_more_clip(village: Path, shared: Path, tmp_path: Path) -> None:
    add(village, take(shared, tmp_path, WHOSE, 3), WHOSE, "target", NEW)
    found = repro(village)
    wanted = expected(village)
    assert set(found) == set(wanted)
    assert found == wanted
    assert wanted[f"data/clips/{NEW}/dvc.yaml:detect"]["frames"] == FRAMES_EACH
    assert wanted["retrieval"]["gallery"] > 60
