"""The network that says what covers a face, taught anew: weights and what they were made of.

In: crops of the clips that the recipe names. Out: the weights, and a record with their sha256, the
recipe, the hashes of what was learned from and the overlap on held-back frames. It stands in no
dvc.yaml: what it makes is shipped, and `make occlusion` makes it again on request. The same kind
of processor gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.contracts.documents import sha256_of, write_json
from likeness.contracts.environment import threads
from likeness.contracts.errors import ParamsError
from likeness.contracts.params.occlusion import ClipLessons, OcclusionParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.media.images import decode_jpeg
from likeness.vision.occluders.bare import Bare, bare
from likeness.vision.occluders.lesson import KINDS, lesson

COLUMNS = ["frame_index", "crop", "landmarks_468"]


def _crops(path: Path, runs: Sequence[tuple[int, int]], every: int, digest: Any) -> list[Bare]:
    """Bare crops of the frames in `runs`; what is read of them goes into `digest`."""
    table = CROPS.read(path, COLUMNS)
    found = []
    for row, index in enumerate(as_numpy(table["frame_index"]).tolist()):
        if index % every or not any(first <= index <= last for first, last in runs):
            continue
        content = table["crop"][row].as_py()
        points = as_numpy(table["landmarks_468"].slice(row, 1), (468, 3))[0]
        digest.update(content)
        digest.update(np.ascontiguousarray(points, np.float32).tobytes())
        found.append(bare(decode_jpeg(content), points[:, :2].astype(np.float64)))
    return found


def _gathered(
    folder: Path, clips: dict[str, ClipLessons]
) -> tuple[list[Bare], list[Bare], dict[str, Any]]:
    """Crops to learn from, crops held back, and what is recorded of each clip.

    Raises:
        ParamsError: a clip without any of the frames.
    """
    learn: list[Bare] = []
    test: list[Bare] = []
    records = {}
    for name, wanted in clips.items():
        path, digest = folder / f"{name}.parquet", hashlib.sha256()
        facts = CROPS.check(path)
        taken = [_crops(path, runs, wanted.every, digest) for runs in (wanted.learn, wanted.test)]
        if not all(taken):
            problem = f"none of the frames named for {name} has a face"
            raise ParamsError(f"occlusion.clips.{name}", problem, "name frames that show one")
        learn += taken[0]
        test += taken[1]
        records[name] = {
            "footage_sha256": facts.get("footage_sha256"),
            "learned_from": len(taken[0]),
            "held_back": len(taken[1]),
            "crops_sha256": digest.hexdigest(),
        }
    return learn, test, records


def _figures(network: Any, test: Sequence[Bare], params: OcclusionParams) -> dict[str, Any]:
    """Overlap on held-back frames, of all lessons and of each kind alone."""
    from models.analysers import teaching
    from models.layers.occlusion_network import SIDE_PX

    def of(seed: int, count: int, only: Iterable[str] | None = None) -> float:
        drawn = [
            lesson(test, seed, teaching.HELD_BACK + i, SIDE_PX, list(only) if only else None)
            for i in range(count)
        ]
        return round(teaching.overlap(network, drawn), 4)

    kinds = {kind: of(params.seed + 2, max(1, params.tests // 4), [kind]) for kind in KINDS}
    return {"all": of(params.seed + 1, params.tests), "kinds": kinds}


def run(context: Context[OcclusionParams]) -> None:
    """Gather, teach, measure, write."""
    from models.analysers import teaching
    from models.layers import occlusion_weights

    params = context.params
    learn, test, records = _gathered(context.inputs["crops"], params.clips)
    plan = teaching.Plan(params.seed, params.steps, params.batch_images, params.rate)
    workers = 1 if threads() > 1 else 0
    with context.progress("occlusion", params.steps) as advance:
        network = teaching.taught(learn, plan, workers, lambda _: advance(1))
    occlusion_weights.save(network, context.outputs["weights"])
    figures = _figures(occlusion_weights.load(context.outputs["weights"]), test, params)
    content = {
        "sha256": sha256_of(context.outputs["weights"]),
        "licence": "Apache-2.0, as this repository; learned from the footage below alone",
        "recipe": params.model_dump(mode="json"),
        "clips": records,
        "intersection_over_union": figures,
    }
    write_json(context.outputs["record"], content)
    same = content["sha256"] == occlusion_weights.SHA256
    context.say(f"occlusion: overlap {figures['all']} on held-back frames")
    context.say(f"occlusion: {'the bytes that are shipped' if same else 'not the shipped bytes'}")


STAGE = Stage(
    name="occlusion",
    params=OcclusionParams,
    inputs={"crops": None},
    outputs={"weights": None, "record": None},
    run=run,
    description="the network that says what covers a face, taught anew",
)

if __name__ == "__main__":
    STAGE.main()
