"""Stage `convert`: the target's crops through the model.

In: a model's folder, the shards of the source identity, aligned.json of the target clip and the
crops that it names. Out: converted.parquet, one row per crop: the swapped crop, the mask of what
to replace, and the affine_matrix that leads from the frame to this crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from likeness.contracts import environment
from likeness.contracts.catalog import DATA, below
from likeness.contracts.documents import Document, read_json, sha256_of
from likeness.contracts.errors import CatalogError, ModelError, TableError
from likeness.contracts.params import SwapEntry, load_entry, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts, Writer, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.vision import alignment

if TYPE_CHECKING:  # torch takes seconds to import; arguments are checked before
    from models.swappers.base import Batch, Swapper

Affine = npt.NDArray[np.float64]
MASK_AT_LEAST_PX = 128
"""Side of the masks of families with smaller crops: an edge shows its steps before a cheek does."""
PLAIN = ("pose_deg", "similarity", "sharpness", "mesh_error")
POINTS = ("landmarks_5", "landmarks_468")


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


@dataclass(frozen=True)
class Geometry:
    """How the family's crops lie in align's: the central `coverage`, sampled at `size_px`."""

    aligned_px: int
    mask_px: int
    size_px: int
    coverage: float

    def cut(self, from_px: int, to_px: int) -> Affine:
        """(2,3): px of align's square, sampled at `from_px`, -> px of the family's, at `to_px`."""
        seen = self.coverage * from_px
        scale = to_px / seen
        offset = (0.5 - (from_px - seen) / 2) * scale - 0.5
        return np.array([[scale, 0.0, offset], [0.0, scale, offset]])

    @property
    def out_mask_px(self) -> int:
        """Side of the masks that the stage writes."""
        return max(self.size_px, MASK_AT_LEAST_PX)


def cut_square(picture: npt.NDArray[np.uint8], cut: Affine, to_px: int) -> npt.NDArray[np.uint8]:
    """uint8 (S,S) or (S,S,3) -> the family's square of `to_px`; as it is where nothing changes."""
    if picture.shape[0] == to_px and np.allclose(cut, np.eye(2, 3)):
        return picture
    return alignment.warp_crop(picture, cut, to_px)


def build_batch(rows: pa.RecordBatch, geometry: Geometry, needs: tuple[str, ...]) -> Batch:
    """Batch of models.swappers.base from rows of align's crops.

    `needs`: columns beside "crop"; all that the rows hold is brought to px of the family's crops.
    """
    import torch

    from models.swappers.base import as_image

    size = geometry.size_px
    cut = geometry.cut(geometry.aligned_px, size)
    crops = [cut_square(decode_jpeg(c.as_py()), cut, size) for c in rows["crop"]]
    batch: Batch = {"crop": as_image(torch.from_numpy(np.stack(crops)))}
    if "mask" in needs:
        masks = np.stack(list(aligned_masks(rows, geometry, size)))
        batch["mask"] = torch.from_numpy(masks).unsqueeze(1).to(torch.float32).div_(255.0)
    for name in POINTS:
        if name in needs:
            width = 3 if name == "landmarks_468" else 2
            points = as_numpy(rows[name], (-1, width))
            move = alignment.apply_mesh if width == 3 else alignment.apply
            batch[name] = torch.from_numpy(move(cut, points).astype(np.float32))
    for name in PLAIN:
        if name in needs:
            batch[name] = torch.from_numpy(np.array(as_numpy(rows[name]), np.float32))
    return batch


def aligned_masks(
    rows: pa.RecordBatch, geometry: Geometry, to_px: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Align's masks, uint8 (to_px,to_px), over the family's square."""
    cut = geometry.cut(geometry.mask_px, to_px)
    for cell in rows["mask"]:
        stored = np.frombuffer(cell.as_py(), np.uint8).reshape(geometry.mask_px, geometry.mask_px)
        yield cut_square(stored, cut, to_px)


def join_masks(
    family: npt.NDArray[np.uint8], aligned: npt.NDArray[np.uint8], mode: str
) -> npt.NDArray[np.uint8]:
    """Mask (M,M) uint8 by `mode`; what is below two levels of 255 is no mask but noise."""
    kept = {"family": family, "aligned": aligned}.get(mode)
    joined = np.minimum(family, aligned) if kept is None else kept
    return np.where(joined < 2, 0, joined).astype(np.uint8)


def swap_batch(
    swapper: Swapper, batch: Batch, precision: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Run the model: images uint8 (B,S,S,3) RGB and masks float32 (B,S,S) in [0,1].

    bf16 is for the layers of a network. A family without any computes coordinates, for which
    8 bits of mantissa are too few, and runs in float32.
    """
    import torch

    from models.swappers.base import as_pixels

    where = next((t.device for t in (*swapper.parameters(), *swapper.buffers())), None)
    where = where or torch.device("cpu")
    moved = {name: value.to(where) for name, value in batch.items()}
    half = precision == "bf16" and any(True for _ in swapper.parameters())
    with torch.inference_mode(), torch.autocast(where.type, torch.bfloat16, enabled=half):
        image, mask = swapper.swap(moved)
    pixels = as_pixels(image).cpu().numpy()
    return pixels, mask.float().clamp(0, 1).squeeze(1).cpu().numpy()


def converted_rows(
    rows: pa.RecordBatch, swapper: Swapper, geometry: Geometry, params: ConvertParams
) -> dict[str, Any]:
    """Columns of converted.parquet for some rows of align's crops."""
    import cv2

    batch = build_batch(rows, geometry, swapper.needs)
    images, masks = swap_batch(swapper, batch, params.precision)
    side = geometry.out_mask_px
    cut = geometry.cut(geometry.aligned_px, geometry.size_px)
    joined = [
        join_masks(
            np.round(cv2.resize(own, (side, side)) * 255).astype(np.uint8), aligned, params.mask
        )
        for own, aligned in zip(masks, aligned_masks(rows, geometry, side), strict=True)
    ]
    affines = as_numpy(rows["affine_matrix"], (2, 3))
    return {
        "frame_index": rows["frame_index"],
        "track_index": rows["track_index"],
        "crop": [encode_jpeg(image, params.jpeg_quality) for image in images],
        "mask": [mask.tobytes() for mask in joined],
        "affine_matrix": np.stack([alignment.compose(cut, affine) for affine in affines]),
    }


def check_identities(entry: SwapEntry, config: Facts, aligned: Facts, folder: Path) -> None:
    """Check that the model knows the swap's source and the person in the target clip.

    Raises:
        ModelError: it was made for somebody else.
    """
    wanted = {"source": entry.source, "target": aligned["identity"]}
    for role, identity in wanted.items():
        if config.get(role) != identity:
            problem = f"has {role} identity `{config.get(role)}`, the swap needs `{identity}`"
            step = f"name a model of {entry.source} and {aligned['identity']} in params.yaml"
            raise ModelError(folder, problem, step)


def crops_of(aligned: Facts, subject: Path) -> Path:
    """The crops that an aligned.json names, checked against its hash.

    Raises:
        CatalogError: the path leaves data/.
        TableError: the file is missing or is another one.
    """
    named = Path(aligned["crops"])
    if named.is_absolute() or named.parts[:1] != DATA.parts:
        raise CatalogError(subject, f"names crops outside {DATA}: {named}", "run `dvc repro`")
    path = below(DATA, str(named.relative_to(DATA)))
    if not path.is_file():
        raise TableError(path, "does not exist", "run `dvc repro`")
    if sha256_of(path) != aligned["sha256"]:
        raise TableError(path, f"is not the file that {subject} describes", "run `dvc repro`")
    return path


def load_swapper(folder: Path) -> Swapper:
    """The model in eval mode, on the device and with the threads of the environment."""
    import torch

    from models.swappers import registry

    torch.set_num_threads(environment.threads())
    swapper = registry.load(folder)
    name = environment.device()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return swapper.to(name)


def run(context: Context[ConvertParams]) -> None:
    """Read the crops in batches, swap, write."""
    folder, subject = context.inputs["model"], context.inputs["aligned"]
    entry = load_entry("swaps", context.options["swap"], SwapEntry, context.params_file)
    aligned, config = read_json(subject), read_json(folder / "config.json")
    check_identities(entry, config, aligned, folder)
    crops = crops_of(aligned, subject)
    facts = CROPS.check(crops)
    swapper = load_swapper(folder)
    geometry = Geometry(
        facts["size_px"], facts["mask_size_px"], swapper.size_px, float(swapper.coverage)
    )
    columns = {"frame_index", "track_index", "crop", "mask", "affine_matrix", *swapper.needs}
    wanted = [name for name in CROPS.schema.names if name in columns]
    total = CROPS.count(crops)
    with (
        Writer(CONVERTED, context.outputs["converted"]) as writer,
        context.progress("crops", total) as advance,
    ):
        writer.facts.update(
            swap=context.options["swap"],
            source=entry.source,
            target=entry.target,
            model=entry.model,
            family=config["family"],
            size_px=geometry.size_px,
            mask_size_px=geometry.out_mask_px,
            template=facts["template"],
        )
        for rows in CROPS.batches(crops, wanted, context.params.batch_images):
            writer.add(converted_rows(rows, swapper, geometry, context.params))
            advance(len(rows))
    if not total:
        context.say(f"{entry.target} has no face to replace: `blend` copies the clip through")


STAGE = Stage(
    name="convert",
    params=ConvertParams,
    inputs={"model": None, "source": None, "aligned": None},
    outputs={"converted": CONVERTED},
    options=("swap",),
    run=run,
    overrides=swap_overrides("convert"),
    description="Put the target's crops through a model.",
)

if __name__ == "__main__":
    STAGE.main()
