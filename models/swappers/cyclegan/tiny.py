"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={
        "size_px": 32,
        "width": 8,
        "blocks": 1,
        "critic_width": 4,
        "critic_depth": 1,
        "pool": 6,
        "learning_rate": 0.005,
        "constant_share": 1.0,
    },
    branches=({}, {"pool": 0, "identity": 0}),
    overfit_images=320,
    falling="target.cycle",
    falls_to=0.6,
)
