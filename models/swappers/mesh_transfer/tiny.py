"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={"size_px": 64, "max_foreign": 1.0},
    branches=({}, {"views": "appearance_map", "eyes": "source"}),
)
