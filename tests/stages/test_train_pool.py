"""Stage `train` on a pool, over workers: a real Ray run gives the bytes of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.contracts.documents import sha256_of
from models.swappers import registry
from models.swappers.abilities import takes_pools
from tests.swapper_cases import CASES, TINY
from tests.synthetic_shards import write_perceptual, write_pool, write_recogniser

ONE_THREAD = {"LIKENESS_THREADS": "1", "OMP_NUM_THREADS": "1"}
POOLED = [name for name, given in TINY.items() if takes_pools(registry.build(name, given))]


def make_place(folder: Path, family: str) -> list[str]:
    """Shards, networks and params.yaml; gives the arguments of the stage but the last, `out`."""
    pool = write_pool(folder, "all", {"ann": 6, "ben": 5, "cid": 7, "eve": 4}, held_out=("eve",))
    content = json.loads((pool / "pool.json").read_text())
    for member in content["members"]:
        member["manifest_sha256"] = sha256_of(folder / member["identity"] / "manifest.json")
    (pool / "pool.json").write_text(json.dumps(content))
    write_recogniser(folder / "recogniser")
    write_perceptual(folder / "perceptual", None)
    plan = {"images": 96, "batch_images": 4, "micro_batches": 2, "log_every_images": 16}
    settings = {**TINY[family], **CASES[family].pooled}
    entry = {"family": family, "source": "all", "target": "all", **settings}
    params = {"train": {**plan, "preview_every_images": 48}, "models": {"any": entry}}
    (folder / "params.yaml").write_text(json.dumps(params))
    given = {"source": "all", "target": "all", "params": "params.yaml"}
    given |= {name: name for name in ("recogniser", "perceptual")}
    pairs = [[f"--{name}", str(folder / value)] for name, value in given.items()]
    return ["--model", "any", *(part for pair in pairs for part in pair), "--out"]


def train(out: Path, state: Path, arguments: list[str], root: Path, env: dict[str, str]) -> str:
    """Run the stage as DVC does; gives what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tasks.train", *arguments, str(out)],
        cwd=root,
        env={**os.environ, **env, "LIKENESS_STATE": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow(seconds=31)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("family", POOLED)
def test_a_pool_over_two_workers_gives_the_bytes_of_one_process(
    tmp_path: Path, repository: Path, family: str
) -> None:
    arguments = make_place(tmp_path, family)
    # A process of its own on both sides: threads of a running one are not those of a fresh one.
    train(tmp_path / "alone", tmp_path / "state", arguments, repository, ONE_THREAD)
    shared = {"LIKENESS_WORKERS": "2", "LIKENESS_THREADS": "2", "OMP_NUM_THREADS": "1"}
    place = (tmp_path / "shared", tmp_path / "shared-state")
    said = train(*place, arguments, repository, shared)
    wanted = {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
    assert wanted.keys() > {f"{name}.jpg" for name in CASES[family].pictures}
    found = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []
    assert "any images: 0 in" in said  # nothing was left for the parent to train
