"""faces.parquet: the detections of a clip that belong to its identity."""

import pyarrow as pa

from likeness.contracts.tables.base import Table, fixed

FACES = Table(
    name="faces",
    version=1,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("detection_index", pa.int16(), nullable=False),
            pa.field("track_index", pa.int32(), nullable=False),
            pa.field("bbox", fixed(4, pa.float32()), nullable=False),
            pa.field("det_score", pa.float32(), nullable=False),
            pa.field("landmarks_5", fixed(10, pa.float32()), nullable=False),
            pa.field("normed_embedding", pa.list_(pa.float32()), nullable=False),
            # Cosine to the gallery of the identity.
            pa.field("similarity", pa.float32(), nullable=False),
            pa.field("sharpness", pa.float32(), nullable=False),
        ]
    ),
    facts=(
        "clip",
        "identity",
        "pack",
        "embedding_dim",
        "gallery",  # "references" or "dominant_track"
        "threshold",
        "detections",
        "reject_counts",  # reason -> number of detections
        "tracks",
    ),
)
