"""probes.parquet: who a few evenly spaced faces of a swap look like, as embeddings."""

import pyarrow as pa

from likeness.contracts.tables.base import Table

PROBES = Table(
    name="probes",
    version=1,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32()), nullable=False),  # unit length
        ]
    ),
    facts=("swap", "source", "embedder", "independent", "frames"),
)
