"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={
        "size_px": 32,
        "architecture": "liae-ud",
        "ae_dims": 24,
        "e_dims": 8,
        "d_dims": 8,
        "d_mask_dims": 4,
        "learning_rate": 0.001,
        "eyes_mouth": True,
        "colour_transfer": "rct",
        "gan": 0.1,
        "clip_gradient": 1.0,
    },
    branches=(
        {"colour_transfer": "rct", "unwarped": 0.5},
        {"colour_transfer": "sot", "face_style": 10, "background_style": 10},
        {"colour_transfer": "lct", "masked_training": False},
        {"colour_transfer": "mkl", "architecture": "df-udt", "true_face": 0.01, "size_px": 64},
        {"colour_transfer": "idt", "architecture": "df"},
    ),
    overfit_images=320,
)
