"""data/galleries/<identity>/<clip>.parquet: who a clip's faces look like, as embeddings."""

import pyarrow as pa

from likeness.contracts.tables.base import Table

GALLERIES = Table(
    name="gallery",
    version=1,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("track_index", pa.int32(), nullable=False),
            # Unit length: the pack's, and the second embedder's where stage `judge` has one.
            pa.field("normed_embedding", pa.list_(pa.float32()), nullable=False),
            pa.field("judge_embedding", pa.list_(pa.float32())),
        ]
    ),
    facts=("clip", "identity", "pack", "judge", "crops"),
)
