"""Stage `convert`: the target's crops through the model.

In: a model's folder, the shards and the appearance map of the source identity (read for families
that want the map's views), aligned.json of the target clip and the crops that it names. Out:
converted.parquet, one row per crop: the swapped crop, the mask of what to replace, and the
affine_matrix that leads from the frame to this crop.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from likeness.contracts import environment
from likeness.contracts.documents import Document, read_json
from likeness.contracts.errors import ModelError
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params import SwapEntry, load_entry, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts, Writer, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.media.images import encode_jpeg
from tasks._crops import crops_of

if TYPE_CHECKING:  # torch takes seconds to import; arguments are checked before
    import torch
    from torch import Tensor

    from models.swappers.base import Batch, Swapper
    from models.training.crops import CropSet

Affine = npt.NDArray[np.float64]
MASK_AT_LEAST_PX = 128
"""Side of the masks of families with smaller crops: an edge shows its steps before a cheek does."""


class ConvertParams(Document):
    """`convert:` of params.yaml."""

    batch_images: int = Field(default=16, ge=1, le=1024, description="crops per call of the model")
    precision: Literal["bf16", "float32"] = Field(
        default="bf16", description="of the network's layers; families without any use float32"
    )
    mask: Literal["both", "family", "aligned"] = Field(
        default="both", description="the model's mask, that of align, or where the two agree"
    )
    jpeg_quality: int = Field(default=95, ge=50, le=100, description="of the swapped crops, 4:4:4")


def covered(affines: Affine, aligned_px: int, size_px: int, coverage: float) -> Affine:
    """Affines (N,2,3) frame px -> align's crop px, now -> px of the family's crops.

    A family sees the central `coverage` of align's crop (side `aligned_px`) at `size_px`; pixel
    centres lie at integers, so that the edges of the covered square become the crop's edges.
    """
    scale = size_px / (coverage * aligned_px)
    moved = affines * scale
    moved[..., 2] += 0.5 * scale - 0.5 - (1 - coverage) / 2 * aligned_px * scale
    return moved


def device_of(swapper: Swapper) -> torch.device:
    """Where a model lies; the CPU for one that holds no tensor."""
    import torch

    held = (*swapper.parameters(), *swapper.buffers())
    return held[0].device if held else torch.device("cpu")


def swap_batch(
    swapper: Swapper, batch: Batch, precision: str, source: Batch | None = None
) -> tuple[Tensor, Tensor]:
    """Run the model: image (B,3,S,S) in [-1,1] and mask (B,1,S,S) in [0,1], float32 on the CPU.

    bf16 is for the layers of a network. A family without any computes coordinates, for which
    8 bits of mantissa are too few, and runs in float32. `source` lies on the model's device.
    """
    import torch

    device = device_of(swapper)
    half = precision == "bf16" and any(True for _ in swapper.parameters())
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        given = {name: value.to(device) for name, value in batch.items()}
        image, mask = swapper.swap(given, source)
    return image.float().cpu(), mask.float().clamp(0, 1).cpu()


def joined_masks(family: Tensor, aligned: Tensor, mode: str) -> npt.NDArray[np.uint8]:
    """Masks uint8 (B,M,M) from the family's (B,1,S,S) and align's (B,1,M,M), both in [0,1].

    What is below two levels of 255 counts as 0: it is no mask but noise.
    """
    import torch
    from torch.nn import functional

    side = aligned.shape[-1]
    own = functional.interpolate(family, size=(side, side), mode="bilinear", antialias=True)
    chosen = {"family": own, "aligned": aligned, "both": torch.minimum(own, aligned)}[mode]
    levels = chosen.clamp(0, 1).mul(255).round().squeeze(1).numpy().astype(np.uint8)
    levels[levels < 2] = 0
    return levels


def source_crops(folder: Path, appearance: Path, swapper: Swapper) -> Batch | None:
    """Clean crops of the source for families that are given some, on the model's device.

    Raises:
        ModelError: its shards (`folder`) hold none, or its map (`appearance`) is not of these.
    """
    if not swapper.source_images:
        return None
    from models.training.mapped import source_views

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
    from models.swappers.base import as_pixels
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


def out_mask_px(size_px: int) -> int:
    """Side of the masks that the stage writes for crops of `size_px`."""
    return max(size_px, MASK_AT_LEAST_PX)


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


def load_swapper(folder: Path, precision: str) -> Swapper:
    """The model in eval mode, on the device and with the threads of the environment.

    For bf16 the weights of convolutions and linear layers are rounded once, here; autocast would
    round them anew for every batch, a quarter of the time at 82 million, to the same values.
    """
    import torch

    from models.swappers import registry

    torch.set_num_threads(environment.threads())
    keep_freed_memory()
    name = environment.device()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    swapper = registry.load(folder).to(name)
    if precision == "bf16":
        exact = [part for part in swapper.modules() if getattr(part, "float32_only", False)]
        kept = {id(layer) for part in exact for layer in part.modules()}
        for layer in swapper.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear) and id(layer) not in kept:
                layer.to(torch.bfloat16)
    return swapper


def open_target(path: Path, swapper: Swapper) -> CropSet:
    """The target's crops as the family sees them in training: one code cuts both."""
    from models.training.crops import CropSet

    facts = CROPS.check(path)
    return CropSet(
        identity=facts["identity"],
        paths=[path],
        facts=facts,
        count=CROPS.count(path),
        needs=swapper.needs,
        size_px=swapper.size_px,
        coverage=float(swapper.coverage),
    )


def run(context: Context[ConvertParams]) -> None:
    """Read the crops in batches, swap, write."""
    folder, subject = context.inputs["model"], context.inputs["aligned"]
    entry = load_entry("swaps", context.options["swap"], SwapEntry, context.params_file)
    aligned, config = read_json(subject), read_json(folder / "config.json")
    check_identities(entry, config, aligned, folder)
    path = crops_of(aligned, subject)
    swapper = load_swapper(folder, context.params.precision)
    crops = open_target(path, swapper)
    given = context.inputs["source"], context.inputs["appearance"]
    source = source_crops(*given, swapper)
    wanted = {"frame_index", "track_index", "crop", "mask", "affine_matrix", *swapper.needs}
    columns = [name for name in CROPS.schema.names if name in wanted]
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
        for rows in CROPS.batches(path, columns, context.params.batch_images):
            writer.add(converted_rows(rows, swapper, crops, context.params, source))
            advance(len(rows))
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
