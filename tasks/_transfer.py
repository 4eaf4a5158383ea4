"""mesh_transfer on a few faces of a target: a baseline of stage `evaluate`, and no stage itself.

It is put together from what stages `convert` and `blend` do, so that the baseline is laid with the
arithmetic of the swap beside it. Imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from likeness.contracts.tables.crops import CROPS
from likeness.media.colour import Planes
from likeness.media.footage import Footage
from likeness.media.images import decode_jpeg
from likeness.metrics.clip import BATCH, KEYS
from likeness.metrics.face import Task
from likeness.vision.colour import SteadyColours
from models.analysers.transfer import fit
from tasks.blend import BlendParams, Face, lay_face
from tasks.convert import ConvertParams, converted_rows, out_mask_px


class MeshTransfer:
    """mesh_transfer on some faces of the target, as stages convert and blend would lay it.

    Args:
        source: shards of the source identity.
        crops: align's crops of the target.
        footage: the target.
        blend: how the swap is blended.
        wanted: frames that will be asked for.
    """

    def __init__(
        self,
        source: Path,
        crops: Path,
        footage: Footage,
        blend: BlendParams,
        wanted: set[int],
    ) -> None:
        self._swapper, self._crops = fit(source, crops)
        self._blend = blend
        self._space = (footage.facts["colour_space"], footage.facts["colour_range"])
        self._rows: dict[tuple[int, int], pa.RecordBatch] = {}
        columns = {*KEYS, "crop", "affine_matrix", *self._swapper.needs}
        listed = [name for name in CROPS.schema.names if name in columns]
        for batch in CROPS.batches(crops, listed, rows=BATCH):
            keys = zip(*(batch[name].to_pylist() for name in KEYS), strict=True)
            for row, (frame, track) in enumerate(keys):
                if frame in wanted:
                    self._rows[frame, track] = batch.slice(row, 1)

    def __call__(self, run: Sequence[Task]) -> list[Planes]:
        """The run's frames with the faces laid in, as 4:2:0 planes."""
        steady, made = SteadyColours(self._blend.colour_memory), []
        for task in run:
            planes = tuple(plane.copy() for plane in task.target.planes())
            self._lay((planes[0], planes[1], planes[2]), task, steady)
            made.append((planes[0], planes[1], planes[2]))
        return made

    def _lay(self, planes: Planes, task: Task, steady: SteadyColours) -> None:
        row = task.row
        batch = self._rows[task.target.frame_index, row.track_index]
        cells = converted_rows(batch, self._swapper, self._crops, ConvertParams())
        side = out_mask_px(self._crops.size_px)
        mask = np.frombuffer(cells["mask"][0], np.uint8).reshape(side, side)
        crop, line = decode_jpeg(cells["crop"][0]), (row.shot_index, row.track_index)
        face = Face(line, crop, mask, cells["affine_matrix"][0])
        lay_face(planes, face, self._blend, self._space, steady)
