"""Stage `probes`: a few faces of a swap as embeddings, to be looked up by stage `retrieval`.

In: the pack, the judge, the target clip with aligned.json and the crops that it names, converted
and rendered. Out: probes.parquet with one row for each of 10 evenly spaced frames that show a face
(the FaceForensics++ protocol; likeness.metrics.retrieval). Of several swapped faces it is that of
the larger track, as in stage `evaluate` (`filter.copies: all`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from likeness.contracts.documents import read_json
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.params.probes import ProbesParams
from likeness.contracts.sections import SwapEntry, load_entry, load_section, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.probes import PROBES
from likeness.media.footage import open_footage
from likeness.metrics import identity, retrieval
from likeness.vision import alignment
from likeness.vision.alignment import Affine, Points
from likeness.vision.templates import template
from models.analysers.judge import load_judge
from tasks._crops import crops_of
from tasks._whole import cuts, shown_faces, side_of

EMBED_PX = 112


def places(
    crops: Path, wanted: Mapping[int, int], film: Mapping[int, np.ndarray] | None = None
) -> dict[int, np.ndarray]:
    """Affine (2,3), px of the render -> px of the embedder's crop, of one face of each frame.

    Args:
        crops: align's crops of the target.
        wanted: track of the face by frame.
        film: of a render of whole crops, (2,3) frame px -> its px by frame; None: the render
            has the frames of the target.
    """
    found: dict[int, np.ndarray] = {}
    fixed = template("arcface_112", EMBED_PX)
    names = ["frame_index", "track_index", "affine_matrix", "landmarks_5"]
    for rows in CROPS.batches(crops, names):
        columns = zip(
            rows["frame_index"].to_pylist(),
            rows["track_index"].to_pylist(),
            as_numpy(rows["affine_matrix"], (2, 3)),
            as_numpy(rows["landmarks_5"], (5, 2)),
            strict=True,
        )
        for frame, track, affine, five in columns:
            if wanted.get(frame) == track:
                found[frame] = _to_embed(affine, five, fixed)
    if film is not None:
        to_frame = {frame: alignment.invert(film[frame]) for frame in found}
        return {frame: alignment.compose(found[frame], to_frame[frame]) for frame in found}
    return found


def _to_embed(affine: Affine, five: Points, fixed: Points) -> Affine:
    """(2,3) frame px -> px of the embedder's crop, from align's crop and its five points."""
    across, down = alignment.steps(affine)
    if across == down:
        return alignment.umeyama(alignment.apply(alignment.invert(affine), five), fixed)
    # Pixels that are not square: points are alike in the crop, not in the frame.
    return alignment.compose(alignment.umeyama(five, fixed), affine)


def run(context: Context[ProbesParams]) -> None:
    """Cut the faces out of the render and embed them."""
    inputs, swap = context.inputs, context.options["swap"]
    entry = load_entry("swaps", swap, SwapEntry, context.params_file)
    judge = load_judge(inputs["pack"], inputs["judge"])
    shown, tracks, _ = shown_faces(inputs["converted"])
    chosen = retrieval.even_frames(len(shown), context.params.frames)
    wanted = dict(zip(shown[chosen].tolist(), tracks[chosen].tolist(), strict=True))
    crops = crops_of(read_json(inputs["aligned"]), inputs["aligned"])
    overrides = swap_overrides("blend")(context.options, context.params_file)
    blend, size = load_section("blend", BlendParams, context.params_file, overrides), EMBED_PX
    side = side_of(blend.crop_px, CONVERTED.check(inputs["converted"])["size_px"])
    film = cuts(inputs["converted"], side) if blend.mode == "crop" else None
    located = places(crops, wanted, film)
    with (
        open_footage(inputs["render"]) as render,
        Writer(PROBES, context.outputs["probes"]) as writer,
    ):
        for frame in render.frames(wanted):
            if not frame.decoded or frame.frame_index not in located:
                continue
            crop = alignment.warp_crop(frame.rgb(), located[frame.frame_index], size)[None]
            found = judge.second(crop) if judge.has_second else judge.embed(crop)[0]
            unit = identity.unit(found).astype(np.float32)
            writer.add({"frame_index": [frame.frame_index], "embedding": list(unit)})
        facts = judge.second_facts if judge.has_second else judge.facts
        writer.facts.update(
            swap=swap,
            source=entry.source,
            embedder=facts["name"],
            independent=facts["independent"],
            frames=len(wanted),
        )


STAGE = Stage(
    name="probes",
    params=ProbesParams,
    inputs={
        "pack": None,
        "judge": None,
        "aligned": None,
        "converted": CONVERTED,
        "render": None,
    },
    outputs={"probes": PROBES},
    options=("swap",),
    run=run,
    description="a few faces of a swap as embeddings",
)

if __name__ == "__main__":
    STAGE.main()
