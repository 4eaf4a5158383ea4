"""data/crops/<identity>/<clip>.parquet: aligned square faces, by frame."""

import pyarrow as pa

from likeness.contracts.tables.base import Table, fixed
from likeness.contracts.tables.sizes import PICTURES_PER_GROUP

CROP_FIELDS = [
    pa.field("frame_index", pa.int32(), nullable=False),
    pa.field("pts_s", pa.float64(), nullable=False),
    pa.field("shot_index", pa.int32(), nullable=False),
    pa.field("track_index", pa.int32(), nullable=False),
    # JPEG, RGB after decoding, size_px x size_px.
    pa.field("crop", pa.binary(), nullable=False),
    # Raw uint8, mask_size_px square, over the same area as the crop; 255 = replace. Parquet's
    # zstd packs it to a few hundred bytes, and it reads without any image library.
    pa.field("mask", pa.binary(), nullable=False),
    # (2,3) row by row: frame px -> crop px.
    pa.field("affine_matrix", fixed(6, pa.float64()), nullable=False),
    pa.field("landmarks_5", fixed(10, pa.float32()), nullable=False),  # crop px
    pa.field(
        "landmarks_468", fixed(1404, pa.float32()), nullable=False
    ),  # crop px; z to the same scale
    pa.field("pose_deg", fixed(3, pa.float32()), nullable=False),  # yaw, pitch, roll
    pa.field("similarity", pa.float32(), nullable=False),
    pa.field("sharpness", pa.float32(), nullable=False),
    # Mean distance of the mesh to landmarks_5, in eye distances: how far the mesh can be trusted.
    pa.field("mesh_error", pa.float32(), nullable=False),
]

CROPS = Table(
    name="crops",
    version=1,
    schema=pa.schema(CROP_FIELDS),
    facts=(
        "clip",
        "identity",
        "template",
        "size_px",
        "mask_size_px",
        "colour_order",  # "RGB"
        "jpeg_quality",
        "pack",
        # And footage_sha256, of the clip, where `align` knew it.
    ),
    group_rows=PICTURES_PER_GROUP,
)
