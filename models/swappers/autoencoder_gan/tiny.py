"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={
        "size_px": 64,
        "width": 4,
        "critic_width": 4,
        "attention_px": 16,
        "perceptual": [0],
        "learning_rate": 0.004,
        "colour_match": 0,
        "motion_blur": 0,
    },
    branches=(
        {"perceptual": [0.1, 0.1, 0.1], "perceptual_from": 0, "colour_match": 1, "motion_blur": 1},
        {"cycle": 10.0, "norm": "channel", "attention_px": 32, "swap_mask": "whole"},
    ),
    overfit_images=200,
    falling="source.reconstruction",
    falls_to=0.5,
)
