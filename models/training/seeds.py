"""Randomness that depends on where it is used, not on what was drawn before.

Every draw has a generator of its own, seeded by the run's seed and the place (step, side, part).
The state of all of them at any moment is therefore the number of the step: a run resumes exactly,
and a part of a batch draws the same numbers on whichever worker it lands.
"""

from __future__ import annotations

import hashlib

import torch


def seed_of(*place: int | str) -> int:
    """A well-mixed seed in [0, 2**63) for a place, such as (seed, "source", step)."""
    digest = hashlib.sha256(repr(place).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*place: int | str) -> torch.Generator:
    """A CPU generator for a place."""
    return torch.Generator().manual_seed(seed_of(*place))
