"""Lineage out of two hand-made lock files: a clip's and the root's."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from pathlib import Path

import pytest

from likeness.contracts.errors import GraphError
from likeness.provenance.lineage import behind, read_locks
from likeness.provenance.lockfile import read_lock

CLIP_LOCK = """\
schema: '2.0'
stages:
  align:
    cmd: python -m tasks.align
    deps:
    - path: data/clips/ann-1/faces.parquet
      hash: md5
      md5: f1
      size: 10
    outs:
    - path: data/clips/ann-1/aligned.json
      md5: a1
      size: 3
    - path: data/crops/ann/ann-1.parquet
      md5: c1
      size: 30
  filter:
    cmd: python -m tasks.filter
    deps:
    - path: data/clips/ann-1/clip.yaml
      md5: y1
    - path: data/clips/ann-1/footage.mp4
      md5: m1
      size: 99
    outs:
    - path: data/clips/ann-1/faces.parquet
      md5: f1
      size: 10
"""
CLIP_YAML = """\
stages:
  align:
    wdir: ../../..
    cmd: python -m tasks.align
    outs:
    - data/clips/${clip}/aligned.json
    - data/crops/${identity}/${clip}.parquet
  filter:
    wdir: ../../..
    cmd: python -m tasks.filter
    outs:
    - data/clips/${clip}/faces.parquet:
        cache: false
"""
ROOT_LOCK = """\
schema: '2.0'
stages:
  shard@ann:
    cmd: python -m tasks.shard
    deps:
    - path: data/crops/ann
      md5: cc.dir
      nfiles: 1
    params:
      params.yaml:
        shard:
          size: 4
    outs:
    - path: data/shards/ann
      md5: s1.dir
  convert@ann-on-ann:
    cmd: python -m tasks.convert
    deps:
    - path: data/clips/ann-1/aligned.json
      md5: a1
    - path: data/shards/ann
      md5: s1.dir
    outs:
    - path: data/swaps/ann-on-ann/converted.parquet
      md5: v1
  convert@other:
    cmd: python -m tasks.convert
    deps:
    - path: data/clips/ann-10/clip.yaml
      md5: zz
    outs:
    - path: data/swaps/other/converted.parquet
      md5: v2
"""
ROOT_YAML = """\
stages:
  shard:
    foreach: ${identities}
    do:
      cmd: python -m tasks.shard
      outs:
      - data/shards/${key}
  convert:
    foreach: ${swaps}
    do:
      cmd: python -m tasks.convert
      outs:
      - data/swaps/${key}/converted.parquet
"""
POOL_LOCK = """\
schema: '2.0'
stages:
  shard@ann:
    cmd: python -m tasks.shard
    deps:
    - path: data/crops/ann
      md5: c1.dir
    outs:
    - path: data/manifests/ann.json
      md5: m1
  shard@ben:
    cmd: python -m tasks.shard
    outs:
    - path: data/manifests/ben.json
      md5: m2
  pool@people:
    cmd: python -m tasks.pool
    deps:
    - path: data/manifests
      md5: mm.dir
    outs:
    - path: data/shards/people
      md5: p1.dir
  train@any:
    cmd: python -m tasks.train
    deps:
    - path: data/shards/people
      md5: p1.dir
    outs:
    - path: data/models/any
      md5: w1.dir
"""
CONVERTED = "data/swaps/ann-on-ann/converted.parquet"


def write_old(path: Path, text: str) -> None:
    """Write a file that nobody has touched for a minute."""
    path.write_text(text)
    before = time.time() - 60
    os.utime(path, (before, before))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    clip = tmp_path / "data/clips/ann-1"
    clip.mkdir(parents=True)
    write_old(clip / "dvc.lock", CLIP_LOCK)
    (clip / "dvc.yaml").write_text(CLIP_YAML)
    write_old(tmp_path / "dvc.lock", ROOT_LOCK)
    (tmp_path / "dvc.yaml").write_text(ROOT_YAML)
    return tmp_path


def test_upstream_follows_files_into_folders_and_over_lock_files(root: Path) -> None:
    stages = read_locks(root).upstream([CONVERTED])
    assert [stage.address for stage in stages] == [
        "data/clips/ann-1/dvc.yaml:filter",
        "data/clips/ann-1/dvc.yaml:align",
        "shard@ann",
        "convert@ann-on-ann",
    ]
    assert [stage.name for stage in stages] == ["filter", "align", "shard", "convert"]
    assert stages[2].params == {"params.yaml": {"shard": {"size": 4}}}
    assert stages[1].outs[1].as_dict() == {
        "path": "data/crops/ann/ann-1.parquet",
        "md5": "c1",
        "size_bytes": 30,
    }


def test_every_stage_comes_after_what_it_depends_on(root: Path) -> None:
    lineage = read_locks(root)
    stages = lineage.upstream([CONVERTED])
    place = {stage.address: index for index, stage in enumerate(stages)}
    for stage in stages:
        for dep in stage.deps:
            for writer, _ in lineage.writers(dep.path):
                assert place[writer] < place[stage.address]


def test_leaves_are_what_no_stage_wrote(root: Path) -> None:
    lineage = read_locks(root)
    leaves = lineage.leaves(lineage.upstream([CONVERTED]))
    assert [(leaf.path, leaf.md5) for leaf in leaves] == [
        ("data/clips/ann-1/clip.yaml", "y1"),
        ("data/clips/ann-1/footage.mp4", "m1"),
    ]


def test_names_that_only_begin_alike_are_not_related(root: Path) -> None:
    stages = read_locks(root).upstream(["data/swaps/other/converted.parquet"])
    assert [stage.address for stage in stages] == ["convert@other"]


def test_fresh_locks_are_not_stale_and_a_rewritten_input_is(root: Path) -> None:
    lineage = read_locks(root)
    assert lineage.stale(lineage.upstream([CONVERTED])) == []
    lock = root / "data/clips/ann-1/dvc.lock"
    lock.write_text(CLIP_LOCK.replace("md5: a1", "md5: a2"))
    lineage = read_locks(root)
    (stale,) = lineage.stale(lineage.upstream([CONVERTED]))
    assert (stale.address, stale.path) == ("convert@ann-on-ann", "data/clips/ann-1/aligned.json")
    assert (stale.read_md5, stale.written_md5) == ("a1", "a2")


def test_an_output_nobody_wrote_is_an_error_with_the_next_step(root: Path) -> None:
    with pytest.raises(GraphError, match="dvc repro"):
        read_locks(root).upstream(["data/swaps/none/render.mp4"])


def test_a_damaged_lock_names_itself(root: Path) -> None:
    write_old(root / "dvc.lock", "stages: [unclosed")
    with pytest.raises(GraphError, match=r"dvc\.lock"):
        read_locks(root)


def cut(text: str, stage: str) -> str:
    """A lock that ends before a stage, as one meets it while DVC rewrites it."""
    return text[: text.index(f"  {stage}:\n")]


def test_a_missing_ancestor_is_an_error_and_never_a_shorter_record(root: Path) -> None:
    """Each stage in turn is missing; what it wrote is named."""
    clip = root / "data/clips/ann-1/dvc.lock"
    write_old(clip, cut(CLIP_LOCK, "filter"))
    with pytest.raises(GraphError, match=r"ann-1/faces\.parquet: no dvc\.lock knows who wrote it"):
        behind(root, [CONVERTED])
    write_old(clip, cut(CLIP_LOCK, "align"))  # nothing is left of the stages
    with pytest.raises(GraphError, match=r"ann-1/dvc\.lock: is cut off"):
        behind(root, [CONVERTED])
    write_old(clip, CLIP_LOCK)
    write_old(root / "dvc.lock", cut(ROOT_LOCK, "convert@ann-on-ann"))
    with pytest.raises(GraphError, match=f"{CONVERTED}: no dvc.lock knows"):
        behind(root, [CONVERTED])


def test_a_second_clip_without_a_lock_is_missed_in_its_folder(root: Path) -> None:
    assert len(behind(root, ["data/shards/ann"])[1]) == 3
    crops = root / "data/crops/ann/ann-2.parquet"
    crops.parent.mkdir(parents=True)
    crops.touch()
    with pytest.raises(GraphError, match=r"crops/ann/ann-2\.parquet: no dvc\.lock knows"):
        behind(root, ["data/shards/ann"])


def test_beside_a_writer_that_rewrites_slowly_the_record_is_whole(root: Path) -> None:
    """It takes no lock, and pauses where the first half parses."""
    clip = root / "data/clips/ann-1/dvc.lock"
    texts = [CLIP_LOCK, CLIP_LOCK.replace("md5: m1", "md5: m2")]
    stop = threading.Event()

    def rewrite() -> None:
        for text in itertools.cycle(texts):
            with clip.open("w") as handle:
                for part in (text[:70], cut(text, "filter")[70:], text[len(cut(text, "filter")) :]):
                    handle.write(part)
                    handle.flush()
                    time.sleep(0.3)
            if stop.wait(0.3):
                return

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        whole = {"data/clips/ann-1/dvc.yaml:filter", "data/clips/ann-1/dvc.yaml:align"}
        for _ in range(4):
            stages = behind(root, [CONVERTED])[1]
            assert {s.address for s in stages} == {*whole, "shard@ann", "convert@ann-on-ann"}
            assert len(stages[1].outs) == 2
            time.sleep(0.25)
    finally:
        stop.set()
        writer.join()


def test_a_lock_is_parsed_once_per_change(root: Path) -> None:
    lock = root / "dvc.lock"
    first = read_lock(lock, root)
    assert read_lock(lock, root) is first
    write_old(lock, ROOT_LOCK.replace("md5: v1", "md5: v3"))
    changed = read_lock(lock, root)
    assert changed["convert@ann-on-ann"]["outs"][0]["md5"] == "v3"
    assert read_lock(lock, root) is changed


def test_a_repository_without_locks_is_empty(tmp_path: Path) -> None:
    assert read_locks(tmp_path).stages == {}


def test_whom_a_pool_holds_out_is_in_nobodys_lineage(root: Path) -> None:
    (root / "dvc.lock").write_text(POOL_LOCK)
    everybody = [stage.address for stage in read_locks(root).upstream(["data/models/any"])]
    assert "shard@ben" in everybody  # without pool.json nothing can be ruled out
    pool = root / "data/shards/people/pool.json"
    pool.parent.mkdir(parents=True)
    held = {"identity": "ben", "held_out": True}
    pool.write_text(json.dumps({"members": [{"identity": "ann", "held_out": False}, held]}))
    lineage = read_locks(root)
    stages = lineage.upstream(["data/models/any"])
    assert [stage.address for stage in stages][-3:] == ["shard@ann", "pool@people", "train@any"]
    assert "shard@ben" not in {stage.address for stage in stages}
    assert lineage.stale(stages) == []
