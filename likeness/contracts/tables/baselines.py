"""baselines.parquet: what a swap is compared with, a few frames of it, encoded as the render is."""

import pyarrow as pa

from likeness.contracts.tables.base import Table

REENCODED, TRANSFERRED = "target_reencoded", "mesh_transfer"
"""Values of `kind`: the target's frames as they are; with the faces of that family laid in."""

BASELINES = Table(
    name="baselines",
    version=1,
    schema=pa.schema(
        [
            # The middle one of `frames` frames in a row, and the face in it that counts.
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("track_index", pa.int32(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("frames", pa.int32(), nullable=False),
            # True: to be measured as the swap is; False: to be recognised alone.
            pa.field("whole", pa.bool_(), nullable=False),
            # H.264 with its own parameter sets; decodes to `frames` pictures.
            pa.field("stream", pa.binary(), nullable=False),
        ]
    ),
    facts=("swap", "source", "target", "footage_sha256", "crf", "preset", "undecodable"),
)
