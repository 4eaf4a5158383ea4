"""history.parquet of a model: every logged value of its training; no clock inside."""

import pyarrow as pa

from likeness.contracts.tables.base import Table

HISTORY = Table(
    name="history",
    version=1,
    schema=pa.schema(
        [
            pa.field("images", pa.int64(), nullable=False),  # images seen when logged
            pa.field("phase", pa.string(), nullable=False),
            pa.field("name", pa.string(), nullable=False),  # "loss", "source.l1", ...
            pa.field("value", pa.float64(), nullable=False),
        ]
    ),
    facts=("model", "family", "images", "batch_images"),
)
