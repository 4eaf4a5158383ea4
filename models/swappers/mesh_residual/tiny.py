"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={
        "size_px": 64,
        "max_foreign": 1.0,
        "width": 24,
        "learning_rate": 0.002,
        "identity": 0,
        "light": 0,  # by chance: they drown four crops
        "holes": 0,
    },
    branches=({}, {"eyes": "target", "mouth": "target", "identity": 0.1}),
    falling="l1",
    falls_to=0.8,
    waits=48,  # random light and holes are drawn on the CPU; the rasteriser counts its pixels
)
