"""Stage `embed`: who a clip's faces look like, for stages that look over everybody.

In: the pack, the judge, the clip's crops. Out: data/galleries/<identity>/<clip>.parquet, one row
per crop that is not nearly the same as another one: its embedding by the pack and, where stage
`judge` has a second embedder, by that.

A stage of the clip, since nothing else is cheap when one more clip arrives: whoever compares with
everybody (`retrieval`) reads vectors, and no network runs again for footage that did not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts import environment
from likeness.contracts.params.embed import EmbedParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.galleries import GALLERIES
from likeness.evaluation import views
from likeness.media.images import decode_jpeg
from likeness.metrics import identity
from likeness.vision import selection
from likeness.vision.mesh import POINTS, expression
from models.analysers.judge import Judge, load_judge

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
TOGETHER = 8
"""Faces per call of a network."""
CALLS = 8
"""Calls that a thread may have waiting."""


def choose(path: Path, params: EmbedParams) -> npt.NDArray[np.int64]:
    """Rows of a clip's crops to embed, rising: of nearly the same ones the sharpest."""
    shapes = {"pose_deg": (3,), "landmarks_468": (POINTS, 3)}
    table = CROPS.read(path, ["pose_deg", "landmarks_468", "sharpness", "mesh_error"])
    columns = {n: as_numpy(table[n], shapes.get(n, ())) for n in table.column_names}
    rows = np.arange(table.num_rows)
    if params.max_mesh_error is not None:
        rows = rows[columns["mesh_error"] <= params.max_mesh_error]
    keep = selection.thin(
        columns["pose_deg"][rows],
        expression(columns["landmarks_468"][rows]),
        columns["sharpness"][rows],
        params.thin_pose_deg,
        params.thin_expression,
    )
    return np.asarray(rows[keep], np.int64)


def faces(path: Path, rows: npt.NDArray[np.int64]) -> Iterator[tuple[dict[str, Any], Pixels]]:
    """Keys and embedder crops (B,112,112,3) of those rows, at most `TOGETHER` at a time."""
    columns = ["frame_index", "track_index", "crop", "landmarks_5"]
    for batch in CROPS.pick(path, rows, columns, TOGETHER):
        five = as_numpy(batch["landmarks_5"], (5, 2)).astype(np.float64)
        crops = [
            views.gallery_crop(decode_jpeg(cell.as_py()), points)
            for cell, points in zip(batch["crop"], five, strict=True)
        ]
        yield {name: batch[name] for name in columns[:2]}, np.stack(crops)


def embed(judge: Judge, crops: Pixels) -> dict[str, list[Any]]:
    """Both columns of embeddings of crops (B,112,112,3), unit length."""
    own = identity.unit(judge.embed(crops)[0]).astype(np.float32)
    second: list[Vectors | None] = [None] * len(crops)
    if judge.has_second:
        second = list(identity.unit(judge.second(crops)).astype(np.float32))
    return {"normed_embedding": list(own), "judge_embedding": second}


def run(context: Context[EmbedParams]) -> None:
    """Choose, embed on all threads, write."""
    inputs, path = context.inputs, context.inputs["crops"]
    judge = load_judge(inputs["pack"], inputs["judge"])
    chosen, threads = choose(path, context.params), environment.threads()
    with (
        Writer(GALLERIES, context.outputs["gallery"]) as writer,
        context.progress("embed", len(chosen)) as advance,
        ThreadPoolExecutor(threads) as workers,
    ):
        waiting: list[tuple[dict[str, Any], Any]] = []

        def write(most: int) -> None:
            while len(waiting) > most:
                keys, found = waiting.pop(0)
                writer.add(keys | found.result())
                advance(len(keys["frame_index"]))

        for keys, crops in faces(path, chosen):
            waiting.append((keys, workers.submit(embed, judge, crops)))
            write(CALLS * threads)
        write(0)
        writer.facts.update(
            clip=context.facts["crops"]["clip"],
            identity=context.facts["crops"]["identity"],
            pack=judge.pack.name,
            judge=judge.second_facts["name"],
            crops=CROPS.count(path),
        )
    context.say(f"embed: {writer.rows} faces of {CROPS.count(path)} crops")


STAGE = Stage(
    name="embed",
    params=EmbedParams,
    inputs={"pack": None, "judge": None, "crops": CROPS},
    outputs={"gallery": GALLERIES},
    run=run,
    description="who a clip's faces look like, as embeddings",
)

if __name__ == "__main__":
    STAGE.main()
