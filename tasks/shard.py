"""The data set of an identity: its crops, split, thinned and balanced.

In: the roster, and the folder of the identity's crops, of which only the roster's clips are read.
Out: data/shards/<identity>/{train,val}-NNNNN.parquet and manifest.json, and the latter once more as
data/manifests/<identity>.json: a pool must know everybody's, and not wait for all that they shard.

The split goes by clip and second, never by frame: neighbours in time are nearly the same picture,
and one in each half would make validation meaningless. A second's half follows from a hash of its
name alone, so that footage added later moves nothing from one half to the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likeness.contracts.documents import read_json, sha256_of, to_json
from likeness.contracts.errors import TableError
from likeness.contracts.params.shard import ShardParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts, Writer, as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.shards import SHARDS
from likeness.vision import selection
from likeness.vision.mesh import POINTS, expression

SPLITS = ("train", "val")
AGREED = ("size_px", "mask_size_px", "template", "pack", "colour_order")
"""Facts in which all clips of an identity must agree."""
ENOUGH_SECONDS = 3
"""From this many on, validation gets at least one second."""


@dataclass(frozen=True)
class Chosen:
    """What becomes of the crops of one clip, N rows in the file's order.

    Attributes:
        split: (N,) "train", "val", or the reason for leaving the crop out.
        pose_deg: (N,3).
    """

    clip: str
    path: Path
    split: npt.NDArray[np.str_]
    pose_deg: npt.NDArray[np.float32]


def rank(clip: str, second: int) -> float:
    """Number in [0,1) that belongs to a second of a clip for ever."""
    digest = hashlib.sha256(f"{clip}:{second}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def validation_seconds(seconds: set[tuple[str, int]], val_share: float) -> set[tuple[str, int]]:
    """The (clip, second) pairs that belong to validation.

    Those whose rank is below `val_share`; the lowest alone if none is and there are enough; and
    never all of them.
    """
    if val_share <= 0:
        return set()
    ordered = sorted(seconds, key=lambda pair: (rank(*pair), pair))
    chosen = [pair for pair in ordered if rank(*pair) < val_share]
    if not chosen and len(ordered) >= ENOUGH_SECONDS:
        chosen = ordered[:1]
    return set(chosen[: len(ordered) - 1])


def choose(columns: dict[str, npt.NDArray[Any]], val: set[int], params: ShardParams) -> Any:
    """Half (N,) of each crop of one clip, or why it is left out.

    Args:
        columns: pts_s, pose_deg (N,3), landmarks_468 (N,468,3), sharpness, mesh_error.
        val: the clip's seconds that belong to validation.
    """
    seconds = np.floor(columns["pts_s"]).astype(int)
    split = np.where(np.isin(seconds, sorted(val)), "val", "train").astype("<U16")
    if params.max_mesh_error is not None:
        split[columns["mesh_error"] > params.max_mesh_error] = "mesh_error"
    split[columns["sharpness"] < params.min_sharpness] = "blurred"
    for half in SPLITS:
        rows = np.flatnonzero(split == half)
        keep = selection.thin(
            columns["pose_deg"][rows],
            expression(columns["landmarks_468"][rows]),
            columns["sharpness"][rows],
            params.thin_pose_deg,
            params.thin_expression,
        )
        split[rows[~keep]] = "thinned"
    return split


def crops_of_roster(roster: dict[str, Any], folder: Path) -> tuple[dict[str, Path], Facts]:
    """Crops file per clip of the roster, and the facts they agree in.

    Raises:
        TableError: a clip of the roster has no crops, or they were made in another way.
    """
    paths = {entry["clip"]: folder / f"{entry['clip']}.parquet" for entry in roster["clips"]}
    agreed: Facts = {}
    first = ""
    for clip, path in sorted(paths.items()):
        facts = CROPS.check(path)
        mine = {key: facts[key] for key in AGREED}
        for key in AGREED:
            if agreed and mine[key] != agreed[key]:
                problem = f"{key} is {mine[key]}, but {agreed[key]} in clip `{first}`"
                raise TableError(path, problem, "run `dvc repro` so that both are aligned alike")
        if not agreed:
            agreed, first = mine, clip
    return dict(sorted(paths.items())), agreed


def read_light(path: Path) -> dict[str, npt.NDArray[Any]]:
    """What choosing needs of a clip's crops, without pictures."""
    names = ["pts_s", "pose_deg", "landmarks_468", "sharpness", "mesh_error"]
    table = CROPS.read(path, names)
    shapes = {"pose_deg": (3,), "landmarks_468": (POINTS, 3)}
    return {name: as_numpy(table[name], shapes.get(name, ())) for name in names}


def choose_all(paths: dict[str, Path], params: ShardParams) -> list[Chosen]:
    """Every clip's crops, chosen one clip at a time."""
    seconds = {
        clip: np.unique(np.floor(as_numpy(CROPS.read(path, ["pts_s"])["pts_s"])).astype(int))
        for clip, path in paths.items()
    }
    pairs = {(clip, int(second)) for clip, listed in seconds.items() for second in listed}
    val = validation_seconds(pairs, params.val_share)
    chosen = []
    for clip, path in paths.items():
        columns = read_light(path)
        mine = {second for name, second in val if name == clip}
        chosen.append(Chosen(clip, path, choose(columns, mine, params), columns["pose_deg"]))
    return chosen


class Half:
    """One half of the data set, written shard by shard as its crops come.

    Args:
        folder: for the shards.
        name: "train" or "val".
        chosen: what becomes of every crop.
        facts: for the metadata of the shards.
        params: how they are weighed and how many rows a shard has.

    Attributes:
        files: name, rows and sha256 of each shard so far.
        pose_deg: (N,3) of its crops.
    """

    def __init__(
        self, folder: Path, name: str, chosen: list[Chosen], facts: Facts, params: ShardParams
    ) -> None:
        poses = [part.pose_deg[part.split == name] for part in chosen]
        self.pose_deg = np.concatenate(poses) if poses else np.zeros((0, 3), np.float32)
        self.files: list[dict[str, Any]] = []
        self._weights = selection.balance_weights(
            self.pose_deg, params.pose_bin_deg, params.balance, params.max_weight_ratio
        )
        self._folder, self._name, self._facts = folder, name, facts
        self._most, self._done = params.rows_per_shard, 0
        self._pending: list[pa.Table] = []

    def add(self, rows: pa.Table, part: Chosen, split: npt.NDArray[np.str_]) -> None:
        """Take those of a clip's rows, with their split, that belong here."""
        table = rows.filter(pa.array(split == self._name))
        if not table.num_rows:
            return
        table = table.append_column("clip", pa.array([part.clip] * table.num_rows))
        weight = self._weights[self._done : self._done + table.num_rows]
        self._done += table.num_rows
        self._pending.append(table.append_column("sample_weight", pa.array(weight)))
        while sum(t.num_rows for t in self._pending) >= self._most:
            self._flush()

    def finish(self) -> None:
        """Write what is left; a half without crops has one empty shard."""
        if self._pending or not self.files:
            self._flush()

    def _flush(self) -> None:
        joined = pa.concat_tables(self._pending) if self._pending else SHARDS.schema.empty_table()
        path = self._folder / f"{self._name}-{len(self.files):05d}.parquet"
        with Writer(SHARDS, path) as writer:
            writer.add(joined.slice(0, self._most))
            writer.facts.update(self._facts, split=self._name)
        self.files.append({"file": path.name, "rows": writer.rows, "sha256": sha256_of(path)})
        rest = joined.slice(self._most)
        self._pending = [rest] if rest.num_rows else []


def write_halves(chosen: list[Chosen], halves: list[Half]) -> None:
    """Write both halves in one pass over the crops, clip by clip in order of frames."""
    for part in chosen:
        row = 0
        for batch in CROPS.batches(part.path):
            split = part.split[row : row + batch.num_rows]
            row += batch.num_rows
            for half in halves:
                half.add(pa.Table.from_batches([batch]), part, split)
    for half in halves:
        half.finish()


def manifest(
    roster: dict[str, Any], facts: Facts, chosen: list[Chosen], halves: dict[str, Any]
) -> dict[str, Any]:
    """Content of manifest.json."""
    counts: dict[str, Any] = {}
    for part in chosen:
        names, totals = np.unique(part.split, return_counts=True)
        counts[part.clip] = {"crops": len(part.split)} | {
            str(n): int(t) for n, t in zip(names, totals, strict=True)
        }
        footage = CROPS.check(part.path).get("footage_sha256")
        if footage:
            counts[part.clip]["footage_sha256"] = footage
    consent = {
        "consent_sha256": roster["consent_sha256"],
        "training": bool(roster.get("training", False)),
    }
    return {**facts, **consent, "clips": counts, **halves}


def run(context: Context[ShardParams]) -> None:
    """Choose, write both halves, describe them."""
    params, folder = context.params, context.outputs["shards"]
    roster = read_json(context.inputs["roster"])
    paths, agreed = crops_of_roster(roster, context.inputs["crops"])
    facts = dict.fromkeys(AGREED) | agreed | {"identity": roster["identity"]}
    chosen = choose_all(paths, params)
    folder.mkdir()
    parts = {name: Half(folder, name, chosen, facts, params) for name in SPLITS}
    write_halves(chosen, list(parts.values()))
    halves = {}
    for name, half in parts.items():
        histogram = selection.pose_histogram(half.pose_deg, params.pose_bin_deg)
        rows = sum(file["rows"] for file in half.files)
        halves[name] = {"rows": rows, "files": half.files, "pose_histogram": histogram}
    content = manifest(roster, facts, chosen, halves)
    for path in (folder / "manifest.json", context.outputs["manifest"]):
        path.write_text(to_json(content), encoding="utf-8")
    context.say(
        f"shard: {halves['train']['rows']} crops to train on, {halves['val']['rows']} to validate,"
        f" of {sum(len(part.split) for part in chosen)}"
    )


STAGE = Stage(
    name="shard",
    params=ShardParams,
    inputs={"roster": None, "crops": None},
    outputs={"shards": None, "manifest": None},
    run=run,
    description="the data set of this identity, split by clip and second, balanced over pose",
)

if __name__ == "__main__":
    STAGE.main()
