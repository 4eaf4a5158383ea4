"""frames.parquet: one row per frame of a clip; no pixels."""

import pyarrow as pa

from likeness.contracts.tables.base import Table

FRAMES = Table(
    name="frames",
    version=1,
    schema=pa.schema(
        [
            pa.field("frame_index", pa.int32(), nullable=False),
            # In units of the stream's time base; for stills the index.
            pa.field("pts", pa.int64(), nullable=False),
            pa.field("pts_s", pa.float64(), nullable=False),
            pa.field("shot_index", pa.int32(), nullable=False),
            # Variance of the Laplacian of the luma plane, scaled to a width of 512 px.
            pa.field("sharpness", pa.float32(), nullable=False),
            pa.field("perceptual_hash", pa.uint64(), nullable=False),
            # Frame of the same shot that this one repeats, or null.
            pa.field("duplicate_of", pa.int32(), nullable=True),
            # False: the frame could not be decoded; it is counted and has no faces.
            pa.field("decoded", pa.bool_(), nullable=False),
        ]
    ),
    facts=(
        "clip",
        "kind",  # "video" or "stills"
        "footage",  # file name in the clip's folder
        "footage_sha256",
        "width_px",  # after rotation
        "height_px",  # after rotation
        "rotation_deg",  # clockwise turn applied to the stored picture to stand upright
        "time_base",  # [numerator, denominator] in seconds
        "average_rate",  # [numerator, denominator] in frames per second
        "frames",
        "undecodable_frames",
        "shots",
        "codec",
        "pixel_format",
        "audio_streams",
        "variable_frame_rate",
    ),
)
