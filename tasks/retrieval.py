"""Stage `retrieval`: whose face is nearest to each swap's, over everybody enrolled.

In: data/probes/, of which the swaps in params.yaml are read; data/galleries/, of which the clips
in the rosters of everybody in people.json; the names of the embedders. Out: metrics.json with the
share of faces retrieved as their source, by swap, and the table of whom they were taken for. It
compares vectors: whatever a network has to see is embedded where it belongs (stages `probes` and
`embed`), so that one more clip of anybody costs the reading of numbers here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.catalog import read_people
from likeness.contracts.documents import read_json, to_json
from likeness.contracts.errors import TableError
from likeness.contracts.params.retrieval import RetrievalParams
from likeness.contracts.progress import Advance
from likeness.contracts.sections import entry_names
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.galleries import GALLERIES
from likeness.contracts.tables.probes import PROBES
from likeness.evaluation.reductions import rounded
from likeness.metrics import spacing
from likeness.metrics.retrieval import Search, confusion, top_1
from models.analysers.circular import embedder_facts

Values = npt.NDArray[np.float64]
Probes = dict[str, tuple[dict[str, Any], Values]]
PROTOCOL = "FaceForensics++: evenly spaced frames, nearest over all source frames by cosine"


def read_probes(path: Path) -> tuple[dict[str, Any], Values]:
    """Facts and embeddings (N,D) of one swap.

    Raises:
        TableError: no output of stage `probes`.
    """
    facts, rows = PROBES.check(path), PROBES.read(path)
    if not rows.num_rows:
        return facts, np.zeros((0, 0))
    return facts, np.stack(rows["embedding"].to_numpy()).astype(np.float64)


def all_probes(folder: Path, swaps: list[str], embedder: str) -> Probes:
    """Probes of every swap, by name.

    Raises:
        TableError: those of a swap are missing, or of another embedder.
    """
    found = {}
    for swap in swaps:
        path = folder / f"{swap}.parquet"
        if not path.is_file():
            raise TableError(path, "does not exist", f"run `dvc repro probes@{swap}`")
        found[swap] = read_probes(path)
        if found[swap][0]["embedder"] != embedder:
            raise TableError(path, "is of another embedder", f"run `dvc repro probes@{swap}`")
    return found


def enrolled(rosters: Path, galleries: Path, people: list[str]) -> dict[str, list[Path]]:
    """Galleries of everybody who has faces: identity -> one file per clip of the roster."""
    found: dict[str, list[Path]] = {}
    for name in sorted(people):
        clips = [entry["clip"] for entry in read_json(rosters / f"{name}.json")["clips"]]
        paths = [galleries / name / f"{clip}.parquet" for clip in clips]
        if any(GALLERIES.count(path) for path in paths):
            found[name] = paths
    return found


def gallery(
    paths: list[Path], most: int | None, facts: dict[str, Any]
) -> Iterator[npt.NDArray[np.floating]]:
    """Embeddings (B,D) of an identity, in batches.

    Raises:
        TableError: made with another embedder than the probes.
    """
    column = "judge_embedding" if facts["independent"] else "normed_embedding"
    count = sum(GALLERIES.count(path) for path in paths)
    chosen = spacing.evenly(count, most) if most else np.arange(count)
    first = 0
    for path in paths:
        made = GALLERIES.check(path)
        who = made["judge"] if facts["independent"] else f"{made['pack']} (pack)"
        if who != facts["name"]:
            step = f"run `dvc repro data/clips/{path.stem}/dvc.yaml:embed`"
            raise TableError(path, f"is of embedder {who}, not {facts['name']}", step)
        here = GALLERIES.count(path)
        rows = chosen[(chosen >= first) & (chosen < first + here)] - first
        first += here
        for batch in GALLERIES.pick(path, rows, [column]):
            yield np.stack(batch[column].to_numpy(zero_copy_only=False))


def look_up(
    probes: Probes,
    people: dict[str, list[Path]],
    most: int | None,
    facts: dict[str, Any],
    advance: Advance,
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Whose face is nearest to each probe, by swap; and how many faces each identity gave."""
    found = {name: vectors for name, (_, vectors) in probes.items() if len(vectors)}
    searches = {name: Search(vectors) for name, vectors in found.items()}
    faces = dict.fromkeys(people, 0)
    for identity, paths in people.items() if searches else ():
        for embeddings in gallery(paths, most, facts):
            faces[identity] += len(embeddings)
            for search in searches.values():
                search.add(identity, embeddings)
            advance(len(embeddings), identity)
    return {name: search.owners for name, search in searches.items()}, faces


def run(context: Context[RetrievalParams]) -> None:
    """Look every swap's faces up among everybody's."""
    params, inputs = context.params, context.inputs
    about = embedder_facts(inputs["pack"], inputs["judge"])
    probes = all_probes(inputs["probes"], entry_names("swaps", context.params_file), about["name"])
    names = read_people(inputs["people"])
    people = enrolled(inputs["rosters"], inputs["galleries"], names)
    count = sum(GALLERIES.count(path) for paths in people.values() for path in paths)
    with context.progress("retrieval: faces compared", count) as advance:
        owners, faces = look_up(probes, people, params.gallery_faces, about, advance)
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
        "embedder": about,
        "swaps": swaps,
        "top_1": rounded(top_1([want for want, _ in every], [got for _, got in every])),
        "gallery": faces,
        "chance": rounded(1 / len(people)) if people else None,
    }
    context.outputs["metrics"].write_text(to_json(content), encoding="utf-8")


STAGE = Stage(
    name="retrieval",
    params=RetrievalParams,
    inputs=dict.fromkeys(("pack", "judge", "probes", "galleries", "rosters", "people")),
    outputs={"metrics": None},
    run=run,
    description="top-1 identity retrieval of every swap over everybody enrolled",
)

if __name__ == "__main__":
    STAGE.main()
