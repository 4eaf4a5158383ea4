"""What a swap is compared with, one row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Attributes:
        prefix: of its columns.
        key: what metrics.json calls it.
        label: what people read.
        at: place among the columns of a table.
    """

    prefix: str
    key: str
    label: str
    at: int


COPIED = Baseline("copied_", "target_copied", "Target copied", 1)
PASTED = Baseline("pasted_", "source_pasted", "Source pasted", 3)
REENCODED = Baseline("reencoded_", "target_reencoded", "Target re-encoded", 2)
TRANSFERRED = Baseline("mesh_", "mesh_transfer", "mesh_transfer", 4)
BASELINES = (COPIED, PASTED, REENCODED, TRANSFERRED)
OWN = "target_"
"""Prefix of columns that say what the target itself has, where that is no comparison."""
ALL = tuple(row.prefix for row in BASELINES)
ENCODED = (COPIED.prefix, REENCODED.prefix, TRANSFERRED.prefix)
"""Those that say something about what lies outside the mask: a paste touches nothing there."""
FACES = (COPIED.prefix, PASTED.prefix)
"""Those that are measured wherever the swap is."""
