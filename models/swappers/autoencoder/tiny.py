"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={"size_px": 32, "width": 8, "learning_rate": 0.002, "loss": "ssim_l1"},
    branches=({}, {"upsampling": "nearest", "bottleneck": "conv1x1", "loss": "l1"}),
)
