"""per_frame.parquet: what `evaluate` measured in every frame of a swap.

Its columns are those of the catalogue's rows. A prefix says what a column was measured on instead
of the swap: "copied_" the target's own face (nothing done), "pasted_" the source crop nearest in
pose laid in without any care, "target_" the target, where that is no comparison.
"""

import pyarrow as pa

from likeness.contracts.tables.base import Table
from likeness.metrics.catalogue import column_names

SCORES = column_names()

PER_FRAME = Table(
    name="per_frame",
    version=3,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("pts_s", pa.float64(), nullable=False),
            pa.field("shot_index", pa.int32(), nullable=False),
            pa.field("track_index", pa.int32(), nullable=True),  # null: no face
            pa.field("faces", pa.int16(), nullable=False),
            # False: only what is measured on all frames is known of this one.
            pa.field("sampled", pa.bool_(), nullable=False),
            # Null: not measured here; rounded to six decimals, so that bytes stay the same.
            *(pa.field(name, pa.float64(), nullable=True) for name in SCORES),
        ]
    ),
    facts=("swap", "embedder", "embedding_dim", "frames", "frames_with_face", "frames_sampled"),
)
