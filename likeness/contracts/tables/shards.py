"""data/shards/<identity>/{train,val}-NNNNN.parquet: the data set of an identity."""

import pyarrow as pa

from likeness.contracts.tables.base import Table
from likeness.contracts.tables.crops import CROP_FIELDS

SHARDS = Table(
    name="shards",
    version=1,
    schema=pa.schema(
        [
            pa.field("clip", pa.string(), nullable=False),
            *CROP_FIELDS,
            # Chance of being drawn relative to the others; evens out the pose histogram. Mean 1.
            pa.field("sample_weight", pa.float32(), nullable=False),
        ]
    ),
    facts=("identity", "split", "size_px", "mask_size_px", "template", "colour_order"),
)
