"""data/traces/<swap>.parquet: forensic features of real and swapped faces at the same places."""

import pyarrow as pa

from likeness.contracts.tables.base import Table

TRACES = Table(
    name="traces",
    version=1,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("track_index", pa.int32(), nullable=False),
            pa.field("second", pa.int32(), nullable=False),  # of the clip, whole
            # False: the target encoded as the render was; True: the render.
            pa.field("swapped", pa.bool_(), nullable=False),
            # As the fact `features` names them; nan: not to be measured here.
            pa.field("features", pa.list_(pa.float32()), nullable=False),
        ]
    ),
    # faces: rows of converted.parquet; small: of those chosen, too small to measure.
    facts=("swap", "clip", "features", "faces", "chosen", "small", "crf", "preset"),
)
