"""mesh_transfer on a few faces of a target, as stages `convert` and `blend` would lay it.

The baseline that stage `baselines` makes: the arithmetic is that of the swap beside it. Imports
torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from likeness.contracts import environment
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.params.convert import ConvertParams
from likeness.contracts.progress import Advance
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.evaluation.clip import BATCH, KEYS
from likeness.media.colour import Planes
from likeness.media.images import decode_jpeg
from likeness.vision.colour import SteadyColours
from likeness.vision.pasting import Face
from models.batch import Batch
from models.conversion import out_mask_px
from models.swappers.mesh_transfer.config import MeshTransferConfig
from models.swappers.mesh_transfer.swapper import MeshTransfer
from models.training.crops import CropSet, open_aligned, open_crops
from tasks.blend import blend_face
from tasks.convert import converted_rows

Key = tuple[int, int]
"""frame_index and track_index."""
STEP_PX = 64
"""The family's crops are multiples of this."""


@dataclass
class _Meshes:
    """The target's meshes as `MeshTransfer.prepare` reads them: nothing else of its crops."""

    crops: CropSet
    identity: str

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.crops)

    def batches(self, size: int) -> Iterator[Batch]:
        """landmarks_468 (B,468,3) float32 in px of the family's crops, in order."""
        for rows in CROPS.batches(self.crops.paths[0], ["landmarks_468"], size):
            values = as_numpy(rows["landmarks_468"], (468, 3)).astype(np.float32)
            yield {"landmarks_468": self.crops.points(torch.from_numpy(values))}


def fit(source: Path, target: Path) -> tuple[MeshTransfer, CropSet]:
    """The family with its default settings on the shards `source` and align's crops `target`.

    Returns:
        The swapper, ready to swap, and the target's crops as it sees them.

    Raises:
        ModelError: the source has no clean crop, or the target none at all.
    """
    size = max(int(CROPS.check(target)["size_px"]) // STEP_PX, 1) * STEP_PX
    swapper = MeshTransfer(MeshTransferConfig(size_px=size))
    view = (swapper.needs, swapper.size_px, float(swapper.coverage))
    crops, given = open_aligned(target, *view), open_crops(source, *view)
    with torch.inference_mode():
        swapper.prepare(given, _Meshes(crops, crops.identity))
    return swapper.eval(), crops


@dataclass(frozen=True)
class Swapped:
    """One face by mesh_transfer: crop and mask as `convert` stores them, and where they lie."""

    crop: bytes
    mask: bytes
    affine: npt.NDArray[np.float64]


class TransferredFaces:
    """Faces by mesh_transfer, all made at once, to be laid into frames.

    Args:
        source: shards of the source identity.
        crops: align's crops of the target.
        wanted: which faces.
        advance: told of every face made.
    """

    def __init__(self, source: Path, crops: Path, wanted: set[Key], advance: Advance) -> None:
        torch.set_num_threads(environment.threads())
        swapper, known = fit(source, crops)
        self._side = out_mask_px(known.size_px)
        self._made: dict[Key, Swapped] = {}
        columns = {*KEYS, "crop", "affine_matrix", *swapper.needs}
        listed = [name for name in CROPS.schema.names if name in columns]
        for batch in CROPS.batches(crops, listed, rows=BATCH):
            keys = list(zip(*(batch[name].to_pylist() for name in KEYS), strict=True))
            rows = [row for row, key in enumerate(keys) if key in wanted]
            if rows:
                given = batch.take(pa.array(rows, pa.int64()))
                cells = converted_rows(given, swapper, known, ConvertParams())
                parts = zip(cells["crop"], cells["mask"], cells["affine_matrix"], strict=True)
                chosen = [keys[row] for row in rows]
                self._made |= {k: Swapped(*part) for k, part in zip(chosen, parts, strict=True)}
                advance(len(rows))

    def lay(
        self,
        frames: Sequence[Planes],
        keys: Sequence[Key],
        shots: Mapping[int, int],
        blend: BlendParams,
        space: tuple[str, str],
    ) -> list[Planes]:
        """Frames in a row with the faces laid in, as 4:2:0 planes.

        Args:
            frames: planes of the target.
            keys: the face in each.
            shots: by frame, the shot it belongs to.
            blend: how the swap is blended.
            space: colour space and range of the target.
        """
        steady, laid = SteadyColours(blend.colour_memory), []
        for planes, key in zip(frames, keys, strict=True):
            made = self._made[key]
            mask = np.frombuffer(made.mask, np.uint8).reshape(self._side, self._side)
            line = (shots[key[0]], key[1])
            face = Face(line, decode_jpeg(made.crop), mask, made.affine)
            y, u, v = (plane.copy() for plane in planes)
            blend_face((y, u, v), face, blend, space, steady)
            laid.append((y, u, v))
        return laid
