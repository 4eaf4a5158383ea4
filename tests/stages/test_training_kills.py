"""SIGKILL at any moment of a training: while it saves, puts aside, resumes or writes its model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthetic_shards import write_shards

FILES = ("model.safetensors", "moments.safetensors", "config.json", "history.parquet")
ENDLESS = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
from likeness.contracts.atomic import atomic_path
from likeness.contracts.params.train import Plan
from models.training.job import Job
from models.training.trainer import train_model

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
plan = dict(batch_images=4, micro_batches=2, log_every_images=16, preview_every_images=24)
plan |= dict(snapshots={"every_images": 16, "latest": 2}, backups={"every_hours": 1e-12})
small = {"size_px": 32, "width": 4}
# Two links, and one that begins anew: whatever is killed, what follows finds its way.
LINKS = [(48, small, False), (96, {**small, "learning_rate": 1e-3}, False), (48, small, True)]

def job(name, link):
    images, settings, fresh = LINKS[link]
    given = (folder / "ann", folder / "ben")
    state = folder / f"{name}-state"
    what = Plan(images=images, fresh=fresh, **plan)
    return Job("tiny", "autoencoder", settings, what, *given, folder / f"{name}-{link}", state)

def stage(name, link):
    # As a stage has it: the output appears whole or not at all.
    made = job(name, link)
    with atomic_path(made.out) as out:
        out.mkdir()
        train_model(replace(made, out=out))

# Nothing of torch has run in this process: a child may begin as it likes.
random.seed(0)
died = 0
for link in range(len(LINKS)):
    for name in ("whole", "killed"):
        while True:
            child = os.fork()
            if not child:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                stage(name, link)
                os._exit(0)
            if name == "killed" and died < kills * (link + 1) // len(LINKS):
                time.sleep(random.uniform(0.0, 0.6))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if status == 0:
                break
            assert os.WIFSIGNALED(status), (name, link, status)
            died += 1
            assert not (folder / f"{name}-{link}").exists()
print(died)
"""


@pytest.mark.slow(seconds=13)
def test_killed_at_any_moment_it_ends_as_if_nothing_had_been(
    tmp_path: Path, repository: Path
) -> None:
    write_shards(tmp_path / "ann", "ann", 8, seed=1)
    write_shards(tmp_path / "ben", "ben", 6, seed=2)
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS, str(tmp_path), "9"],
        cwd=repository,
        env={**os.environ, "LIKENESS_CHECKPOINT_S": "0", "LIKENESS_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5
    for link in range(3):
        for name in FILES:
            wanted, found = (tmp_path / f"{n}-{link}" / name for n in ("whole", "killed"))
            assert found.read_bytes() == wanted.read_bytes(), (link, name)
    facts = [json.loads((tmp_path / f"killed-{n}/config.json").read_text()) for n in range(3)]
    assert [f["continues"] is not None for f in facts] == [False, True, False]
    # Nothing half done is left behind.
    left = [p.name for p in (tmp_path / "killed-state").rglob(".*")]
    assert not [name for name in left if not name.startswith((".tmp-", ".gone-"))]
    assert len(list((tmp_path / "killed-state").glob("step-*"))) == 1
