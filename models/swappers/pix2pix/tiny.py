"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={"size_px": 32, "width": 8, "critic_width": 4, "learning_rate": 0.002},
    branches=({"drawing": "mesh", "upsampling": "resize"}, {"drawing": "parsing", "fit": "shape"}),
    falling="l1",
    falls_to=0.35,
    waits=2,  # how many pixels lie beside the lines, in each phase
)
