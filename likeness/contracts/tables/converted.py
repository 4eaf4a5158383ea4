"""converted.parquet: swapped crops and their masks, by frame."""

import pyarrow as pa

from likeness.contracts.tables.base import Table, fixed
from likeness.contracts.tables.sizes import PICTURES_PER_GROUP

CONVERTED = Table(
    name="converted",
    version=1,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("track_index", pa.int32(), nullable=False),
            # JPEG (4:4:4), RGB after decoding, size_px x size_px.
            pa.field("crop", pa.binary(), nullable=False),
            # Raw uint8, mask_size_px square, over the same area; 255 = replace.
            pa.field("mask", pa.binary(), nullable=False),
            # (2,3) row by row: frame px -> px of this crop (scaled from align's to size_px).
            pa.field("affine_matrix", fixed(6, pa.float64()), nullable=False),
        ]
    ),
    facts=("swap", "source", "target", "model", "family", "size_px", "mask_size_px", "template"),
    group_rows=PICTURES_PER_GROUP,
)
