"""A small DVC repository whose stages copy text: the shape of the real graph, in milliseconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT_YAML = """\
stages:
  pack:
    desc: weights
    cmd: python work.py data/packs/p tag
    deps: [tag, work.py]
    outs: [data/packs/p]
    meta: {resource: network}
  shard:
    foreach: [ann, ben]
    do:
      desc: data set
      cmd: python work.py data/shards/${item} data/crops/${item}
      deps: [work.py, "data/crops/${item}"]
      outs: ["data/shards/${item}"]
      meta: {resource: io}
  train:
    foreach: {ann-ben: x}
    do:
      cmd: python work.py data/models/${key} data/shards/ann data/shards/ben
      deps: [work.py, data/shards/ann, data/shards/ben]
      outs: ["data/models/${key}"]
      meta: {resource: compute}
  convert:
    foreach: {ann-on-ben: x}
    do:
      cmd: python work.py data/swaps/${key}/converted.parquet data/models/ann-ben
      deps: [work.py, data/models/ann-ben]
      outs: ["data/swaps/${key}/converted.parquet"]
      meta: {resource: compute}
  blend:
    foreach: {ann-on-ben: x}
    do:
      cmd: python work.py data/swaps/${key}/render.mp4 data/swaps/${key}/converted.parquet
      deps: [work.py, "data/swaps/${key}/converted.parquet"]
      outs: ["data/swaps/${key}/render.mp4"]
      meta: {resource: compute}
  publish:
    foreach: {ann-on-ben: x}
    do:
      cmd: python work.py data/swaps/${key}/published.mp4 data/swaps/${key}/render.mp4
      deps: [work.py, "data/swaps/${key}/render.mp4"]
      outs: ["data/swaps/${key}/published.mp4"]
      meta: {resource: compute}
"""

CLIP_YAML = """\
stages:
  align:
    wdir: ../../..
    desc: crops
    cmd: >-
      python work.py data/crops/{identity}/{clip}.parquet
      data/clips/{clip}/footage.txt data/packs/p
    deps: [work.py, data/clips/{clip}/footage.txt, data/packs/p]
    outs: [data/crops/{identity}/{clip}.parquet]
    meta: {{resource: compute}}
"""

# Joins its inputs. A line `fail` in an input makes it fail, `sleep` makes it start a long child
# that notes its number: what a stage with worker processes looks like. `nap` lasts a second,
# `hold` until there is a file `go`.
WORK = """\
import pathlib, subprocess, sys, time
out, *inputs = map(pathlib.Path, sys.argv[1:])
files = [f for i in inputs for f in (sorted(i.rglob("*")) if i.is_dir() else [i]) if f.is_file()]
lines = sorted({line for f in files for line in f.read_text().split()})
if "fail" in lines:
    sys.exit("error: this input is bad; replace it")
if "sleep" in lines:
    child = subprocess.Popen(["sleep", "300"])
    pathlib.Path("child.pid").write_text(str(child.pid))
    child.wait()
if "hold" in lines:
    pathlib.Path("held").write_text("yes")
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
if "nap" in lines:
    time.sleep(1)
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text("\\n".join(lines))
print("wrote", out)
"""


def run(folder: Path, *command: str) -> str:
    """Run a command in `folder` and return what it printed; fails the test with its output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(folder: Path, *arguments: str) -> str:
    """Run DVC in `folder`."""
    return run(folder, sys.executable, "-m", "dvc", "-q", *arguments)


def make_stub(folder: Path) -> Path:
    """Write the repository into `folder`: two identities with a clip each, one swap."""
    folder.mkdir(parents=True, exist_ok=True)
    run(folder, "git", "init", "-q")
    dvc(folder, "init")
    dvc(folder, "config", "core.analytics", "false")
    (folder / "dvc.yaml").write_text(ROOT_YAML)
    (folder / "work.py").write_text(WORK)
    (folder / "tag").write_text("one")
    (folder / "params.yaml").write_text("{}\n")
    (folder / "data").mkdir()
    (folder / "data/.gitignore").write_text("/crops\n/packs\n/shards\n/models\n/swaps\n*.txt\n")
    for clip, identity in (("ann-1", "ann"), ("ben-1", "ben")):
        home = folder / "data/clips" / clip
        home.mkdir(parents=True)
        (home / "footage.txt").write_text(clip)
        (home / "dvc.yaml").write_text(CLIP_YAML.format(clip=clip, identity=identity))
        dvc(folder, "add", f"data/clips/{clip}/footage.txt")
    return folder
