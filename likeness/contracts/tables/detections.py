"""detections.parquet: every detected face of a clip, by frame, best score first."""

import pyarrow as pa

from likeness.contracts.tables.base import Table, fixed

DETECTIONS = Table(
    name="detections",
    version=2,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            pa.field("detection_index", pa.int16(), nullable=False),
            pa.field("bbox", fixed(4, pa.float32()), nullable=False),
            pa.field("det_score", pa.float32(), nullable=False),
            pa.field("landmarks_5", fixed(10, pa.float32()), nullable=False),
            pa.field("normed_embedding", pa.list_(pa.float32()), nullable=False),
            pa.field("embedding_norm", pa.float32(), nullable=False),
            # Variance of the Laplacian of the face's luma, resampled to 112 px.
            pa.field("sharpness", pa.float32(), nullable=False),
            # True: the box was followed by the mesh between two runs of the detector.
            pa.field("followed", pa.bool_(), nullable=False),
            # True: the embedding was interpolated between two samples of the track.
            pa.field("embedding_interpolated", pa.bool_(), nullable=False),
            # False: a face mesh fitted there disagrees with the five points, or shows no face.
            pa.field("mesh_agrees", pa.bool_(), nullable=False),
        ]
    ),
    facts=("clip", "pack", "embedding_dim", "frames", "detector_frames", "embeddings_measured"),
)
