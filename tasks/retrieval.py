"""Stage `retrieval`: whose face is nearest to each swap's, over everybody enrolled.

In: data/probes/ and data/shards/, of which the swaps in params.yaml and the people in people.json
are read. Out:
metrics.json with the share of faces retrieved as their source, by swap, and the table of whom they
were taken for. A stage of its own: that one more clip of anybody moves these numbers must not
measure every swap anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from likeness.contracts import environment
from likeness.contracts.catalog import read_people
from likeness.contracts.documents import Document, to_json
from likeness.contracts.errors import TableError
from likeness.contracts.params import entry_names
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.probes import PROBES
from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import decode_jpeg
from likeness.metrics import sampling, views
from likeness.metrics.parts import rounded
from likeness.metrics.retrieval import Search, confusion, top_1
from models.analysers.judge import Judge, load_judge

Values = npt.NDArray[np.float64]
TOGETHER = 8
PROTOCOL = "FaceForensics++: evenly spaced frames, nearest over all source frames by cosine"


class RetrievalParams(Document):
    """Section `retrieval` of params.yaml."""

    gallery_faces: int | None = Field(
        default=None, ge=1, description="of each identity, evenly spaced; null: all of them"
    )


def read_probes(path: Path) -> tuple[dict[str, Any], Values]:
    """Facts and embeddings (N,D) of one swap.

    Raises:
        TableError: no output of stage `probes`.
    """
    facts, rows = PROBES.check(path), PROBES.read(path)
    if not rows.num_rows:
        return facts, np.zeros((0, 0))
    return facts, np.stack(rows["embedding"].to_numpy()).astype(np.float64)


def gallery(folder: Path, judge: Judge, most: int | None) -> Iterator[npt.NDArray[np.floating]]:
    """Embeddings (B,D) of an identity's crops, batch by batch on all threads."""
    files = sorted(folder.glob("*.parquet"))
    count = sum(SHARDS.count(path) for path in files)
    chosen = set(sampling.evenly(count, most).tolist()) if most else None
    embed = judge.second if judge.has_second else lambda crops: judge.embed(crops)[0]
    first = 0
    with ThreadPoolExecutor(environment.threads()) as workers:
        for path in files:
            for rows in SHARDS.batches(path, ["crop", "landmarks_5"]):
                taken = [i for i in range(rows.num_rows) if chosen is None or first + i in chosen]
                first += rows.num_rows
                five = as_numpy(rows["landmarks_5"], (5, 2)).astype(np.float64)
                crops = [
                    views.gallery_crop(decode_jpeg(rows["crop"][i].as_py()), five[i]) for i in taken
                ]
                parts = [np.stack(crops[i : i + TOGETHER]) for i in range(0, len(crops), TOGETHER)]
                yield from workers.map(embed, parts)


def look_up(
    probes: dict[str, tuple[dict[str, Any], Values]],
    shards: dict[str, Path],
    judge: Judge,
    most: int | None,
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Whose face is nearest to each probe, by swap; and how many faces each identity gave."""
    found = {name: vectors for name, (_, vectors) in probes.items() if len(vectors)}
    searches = {name: Search(vectors) for name, vectors in found.items()}
    faces = dict.fromkeys(shards, 0)
    for identity, folder in shards.items() if searches else ():
        for embeddings in gallery(folder, judge, most):
            faces[identity] += len(embeddings)
            for search in searches.values():
                search.add(identity, embeddings)
    return {name: search.owners for name, search in searches.items()}, faces


def run(context: Context[RetrievalParams]) -> None:
    """Look every swap's faces up among all shards."""
    params, inputs = context.params, context.inputs
    judge = load_judge(inputs["pack"], inputs["judge"])
    about = judge.second_facts if judge.has_second else judge.facts
    probes = {}
    for swap in entry_names("swaps", context.params_file):
        path = inputs["probes"] / f"{swap}.parquet"
        if not path.is_file():
            raise TableError(path, "does not exist", f"run `dvc repro probes@{swap}`")
        probes[swap] = read_probes(path)
        if probes[swap][0]["embedder"] != about["name"]:
            raise TableError(path, "is of another embedder", f"run `dvc repro probes@{swap}`")
    names = read_people(inputs["people"])
    shards = {name: inputs["shards"] / name for name in sorted(names)}
    shards = {name: path for name, path in shards.items() if any(path.glob("*.parquet"))}
    owners, faces = look_up(probes, shards, judge, params.gallery_faces)
    swaps: dict[str, Any] = {}
    for swap, (facts, _) in sorted(probes.items()):
        found = owners.get(swap, [])
        expected = [facts["source"]] * len(found)
        swaps[swap] = {
            "top_1": rounded(top_1(expected, found)),
            "frames": len(found),
            "expected": facts["source"],
            "found": confusion(expected, found).get(facts["source"], {}),
        }
    every = [(probes[s][0]["source"], name) for s in sorted(owners) for name in owners[s]]
    content = {
        "protocol": PROTOCOL,
        "embedder": {key: about[key] for key in ("name", "independent", "circular")},
        "swaps": swaps,
        "top_1": rounded(top_1([want for want, _ in every], [got for _, got in every])),
        "gallery": faces,
        "chance": rounded(1 / len(shards)) if shards else None,
    }
    context.outputs["metrics"].write_text(to_json(content), encoding="utf-8")


STAGE = Stage(
    name="retrieval",
    params=RetrievalParams,
    inputs={"pack": None, "judge": None, "probes": None, "shards": None, "people": None},
    outputs={"metrics": None},
    run=run,
    description="top-1 identity retrieval of every swap over everybody enrolled",
)

if __name__ == "__main__":
    STAGE.main()
