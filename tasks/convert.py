"""Stage `convert`: the target's crops through the model.

In: a model's folder, the shards and the appearance map of the source identity (read for families
that want the map's views), aligned.json of the target clip and the crops that it names. Out:
converted.parquet, one row per crop: the swapped crop, the mask of what to replace, and the
affine_matrix that leads from the frame to this crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from likeness.contracts import environment
from likeness.contracts.documents import read_json
from likeness.contracts.errors import ModelError
from likeness.contracts.params.convert import ConvertParams
from likeness.contracts.sections import SwapEntry, load_entry, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts, Writer, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.media.images import encode_jpeg
from models.conversion import (
    covered,
    device_of,
    joined_masks,
    load_swapper,
    out_mask_px,
    swap_batch,
)
from models.devices import pick_device
from tasks._crops import crops_of

if TYPE_CHECKING:  # torch takes seconds to import; arguments are checked before
    from models.batch import Batch
    from models.swappers.base import Swapper
    from models.training.crops import CropSet


def source_crops(folder: Path, appearance: Path, swapper: Swapper) -> Batch | None:
    """Clean crops of the source for families that are given some, on the model's device.

    Raises:
        ModelError: its shards (`folder`) hold none, or its map (`appearance`) is not of these.
    """
    from models.swappers.abilities import source_images

    if not source_images(swapper):
        return None
    from models.training.source_views import source_views

    device, found = device_of(swapper), source_views(folder, appearance, swapper)
    return {name: value.to(device) for name, value in found.items()}


def converted_rows(
    rows: pa.RecordBatch,
    swapper: Swapper,
    crops: CropSet,
    params: ConvertParams,
    source: Batch | None = None,
) -> dict[str, Any]:
    """Columns of converted.parquet for some rows of align's crops."""
    from models.batch import as_pixels
    from models.training.crops import cut, masks_of

    image, mask = swap_batch(swapper, crops.batch(rows), params.precision, source)
    stored = masks_of(rows, crops.facts["mask_size_px"]).float()[:, None] / 255
    aligned = cut(stored, crops.coverage, out_mask_px(crops.size_px))
    affines = as_numpy(rows["affine_matrix"], (2, 3))
    pixels = as_pixels(image).numpy()
    return {
        "frame_index": rows["frame_index"],
        "track_index": rows["track_index"],
        "crop": [encode_jpeg(picture, params.jpeg_quality) for picture in pixels],
        "mask": [levels.tobytes() for levels in joined_masks(mask, aligned, params.mask)],
        "affine_matrix": covered(affines, crops.facts["size_px"], crops.size_px, crops.coverage),
    }


def check_identities(entry: SwapEntry, config: Facts, aligned: Facts, folder: Path) -> None:
    """Check that the model knows the swap's source and the person in the target clip.

    Raises:
        ModelError: it was made for somebody else.
    """
    wanted = {"source": entry.source, "target": aligned["identity"]}
    for role, identity in wanted.items():
        # A pool's models are for any face, whether training has seen it or not.
        if config.get(role) != identity and role not in config.get("pools", {}):
            problem = f"has {role} identity `{config.get(role)}`, the swap needs `{identity}`"
            step = f"name a model of {entry.source} and {aligned['identity']} in params.yaml"
            raise ModelError(folder, problem, step)


def batches_of(path: Path, swapper: Swapper, params: ConvertParams) -> Iterator[pa.RecordBatch]:
    """What a conversion reads of align's crops."""
    wanted = {"frame_index", "track_index", "crop", "mask", "affine_matrix", *swapper.needs}
    columns = [name for name in CROPS.schema.names if name in wanted]
    return CROPS.batches(path, columns, params.batch_images)


def run(context: Context[ConvertParams]) -> None:
    """Read the crops in batches, swap, write."""
    from models.crew import crew_for
    from models.training.crops import open_aligned

    folder, subject = context.inputs["model"], context.inputs["aligned"]
    entry = load_entry("swaps", context.options["swap"], SwapEntry, context.params_file)
    aligned, config = read_json(subject), read_json(folder / "config.json")
    check_identities(entry, config, aligned, folder)
    path = crops_of(aligned, subject)
    with crew_for(pick_device(), environment.threads()) as crew:
        swapper = load_swapper(folder, context.params.precision, 1)
        # As the family sees them in training: one code cuts both.
        crops = open_aligned(path, swapper.needs, swapper.size_px, float(swapper.coverage))
        given = context.inputs["source"], context.inputs["appearance"]
        source = source_crops(*given, swapper)
        work = partial(
            converted_rows, swapper=swapper, crops=crops, params=context.params, source=source
        )
        with (
            Writer(CONVERTED, context.outputs["converted"]) as writer,
            context.progress("crops", len(crops)) as advance,
        ):
            writer.facts.update(
                swap=context.options["swap"],
                source=entry.source,
                target=entry.target,
                model=entry.model,
                family=config["family"],
                size_px=crops.size_px,
                mask_size_px=out_mask_px(crops.size_px),
                template=crops.facts["template"],
            )
            for converted in crew.map(work, batches_of(path, swapper, context.params)):
                writer.add(converted)
                advance(len(converted["frame_index"]))
    if not len(crops):
        context.say(f"{entry.target} has no face to replace: `blend` copies the clip through")


STAGE = Stage(
    name="convert",
    params=ConvertParams,
    inputs={"model": None, "source": None, "appearance": None, "aligned": None},
    outputs={"converted": CONVERTED},
    options=("swap",),
    run=run,
    overrides=swap_overrides("convert"),
    description="Put the target's crops through a model.",
)

if __name__ == "__main__":
    STAGE.main()
