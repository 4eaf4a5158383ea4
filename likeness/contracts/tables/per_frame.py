"""per_frame.parquet: what `evaluate` measured in every frame of a swap."""

import pyarrow as pa

from likeness.contracts.tables.base import Table

# Each is measured on the swap, and on two baselines beside it: "copied_" is the target's own face
# (nothing done), "pasted_" the source crop nearest in pose laid in without any care.
FACE_SCORES = (
    "identity_source",  # cosine to the source's gallery, by the pack's embedder
    "identity_target",  # cosine to the target clip's gallery
    "independent_source",  # the same by the judge's embedder, on some of these frames
    "independent_target",
    "pose_error_deg",  # length of the difference in yaw, pitch, roll to the target
    "landmark_error",  # mean distance of the mesh to the target's, in eye distances
    "expression_error",  # the same once pose, place and size are taken out
    "gaze_error",  # distance of the irises' places to the target's, in eye widths
    "lab_mean_error",  # length of the difference in mean Lab inside the mask
    "lab_deviation_error",  # the same of its deviation: contrast
    "shading_correlation",  # of the low-passed lightness with the target's
    "perceptual_distance",  # on the recogniser's feature maps, 0 same
    "boundary_delta_e",  # CIEDE2000 step across the outline of the mask
    "gradient_ratio",  # gradient energy on the outline against both sides of it
)
BASELINES = ("copied_", "pasted_")

# Named distances on the mesh in eye distances (metrics.expression), of render, target and paste.
UNITS = ("mouth_open", "mouth_width", "smile", "brow_raise", "brow_furrow", "eye_open")
UNIT_SCORES = tuple(prefix + name for prefix in ("", "target_", "pasted_") for name in UNITS)

# Measured on the swap alone or as a pair with the target.
FRAME_SCORES = (
    "psnr_outside_db",  # luma, pixels that the mask cannot have touched; all frames
    "max_difference_outside",  # grey levels of 255; all frames
    "ssim_outside",
    "mesh_score",  # 0-1, the mesh network's own belief that there is a face
    "yaw_error_deg",
    "pitch_error_deg",
    "roll_error_deg",
    "target_yaw_deg",
    "target_pitch_deg",
    "target_roll_deg",
    "lab_l",  # mean colour inside the mask
    "lab_a",
    "lab_b",
    "target_lab_l",
    "target_lab_a",
    "target_lab_b",
    "colour_shift",  # CIEDE2000 between those two means
    "landmark_jitter",  # second difference of the mesh over three frames, in eye distances
    "target_landmark_jitter",
    "warping_error",  # to the frame before, carried along the target's flow
    "target_warping_error",
    "flow_difference_px",  # of the swap's flow to the target's
)
SCORES = (
    *FRAME_SCORES,
    *FACE_SCORES,
    *UNIT_SCORES,
    *(prefix + name for prefix in BASELINES for name in FACE_SCORES),
)

PER_FRAME = Table(
    name="per_frame",
    version=2,
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
