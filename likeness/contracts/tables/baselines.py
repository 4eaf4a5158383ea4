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
            # To be measured as the swap is: H.264 with its own parameter sets, which decodes to
            # `frames` pictures. Null where the face is only recognised.
            pa.field("stream", pa.binary()),
            # Recognised: unit or not, by the pack's embedder; its pooled features, for FID and KID.
            pa.field("embedding", pa.list_(pa.float32())),
            pa.field("features", pa.list_(pa.float32())),
        ]
    ),
    facts=(
        "swap",
        "source",
        "target",
        "footage_sha256",
        "embedder",
        "crf",
        "preset",
        "undecodable",
    ),
)
