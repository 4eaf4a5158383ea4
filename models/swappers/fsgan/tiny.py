"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={
        "size_px": 32,
        "width": 8,
        "depth": 2,
        "blocks": 1,
        "segmentation_width": 4,
        "critic_width": 4,
        "critic_depth": 1,
        "steps": 2,
        "perceptual_weight": 0,
        "pixel_weight": 1.0,
        "learning_rate": 0.008,
        "target_mask": "aligned",
    },
    branches=({"perceptual_weight": 1.0, "target_mask": "network"}, {"blend": "poisson"}),
    overfit_images=104,
    falling="reconstruction",
    falls_to=0.8,
    pooled={"perceptual_weight": 1.0},
    pictures=("chain",),
    waits=7,  # where the masks are, once in each of four phases; parts of the face
)
