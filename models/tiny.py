"""What a family's `tiny.py` says to the tests that run over all families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tiny:
    """Settings with which a test takes seconds on a CPU, and what may be expected of them.

    Attributes:
        settings: of the family.
        branches: settings beside those, each of which leads through other branches of the family.
        overfit_images: budget in which four crops are overfitted.
        falling: the loss that falls then; "" is the sum of all.
        falls_to: share of its beginning to which it falls.
        pooled: settings beside those for a training on a pool: with them all phases get a step, and
            losses all they can look at.
        pictures: names of the pictures that it draws beside the preview then.
        waits: how often a part of a batch makes host and GPU wait for each other, over all phases.
    """

    settings: Mapping[str, Any]
    branches: tuple[Mapping[str, Any], ...] = ({},)
    overfit_images: int = 1600
    falling: str = ""
    falls_to: float = 0.35
    pooled: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    waits: int = 0
