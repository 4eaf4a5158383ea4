"""The family at its smallest, for the tests that run over all families."""

from models.tiny import Tiny

TINY = Tiny(
    settings={"size_px": 32, "width": 0.05, "same": 0.5, "learning_rate": 0.005},
    branches=({"eyes": 1.0}, {"identity_injection": "adain", "hear": False}),
    overfit_images=200,
    falling="reconstruction",
    falls_to=0.65,
    pooled={"hear_share": 0.3},
    pictures=("masks",),
    waits=1,  # which pairs count as one identity
)
