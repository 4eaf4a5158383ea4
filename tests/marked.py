"""What a visible mark may change of a picture."""

from __future__ import annotations

from likeness.media.colour import Planes
from likeness.provenance.marks import Mark


def only_the_mark_changed(planes: Planes, before: Planes, mark: Mark) -> bool:
    """Whether every plane differs from `before` below the mark's plate, and nowhere else."""
    rows, columns = mark.plate.shape
    for plane, old, step in zip(planes, before, (1, 2, 2), strict=True):
        changed = plane != old
        below = changed[
            mark.y0 // step : (mark.y0 + rows) // step,
            mark.x0 // step : (mark.x0 + columns) // step,
        ]
        if not below.any() or changed.sum() != below.sum():
            return False
    return True
