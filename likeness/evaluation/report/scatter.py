"""Points of the target over points of the source as inline SVG; every point knows its frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from likeness.evaluation.report.charts import nice_ticks

Values = npt.NDArray[np.float64]
WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 36
BATCH = 256


@dataclass(frozen=True)
class Scatter:
    """A scatter as the template and its script use it.

    Attributes:
        title, hint: texts.
        svg: the picture.
        u, v: (N) place of each target point in it, px.
        frames, texts: (N) which frame it is and what to say.
        share: of target points that have a source point in reach; None without any.
    """

    title: str
    hint: str
    svg: str
    u: list[float]
    v: list[float]
    frames: list[int]
    texts: list[str]
    share: float | None

    def data(self) -> dict[str, object]:
        """What the page's script reads."""
        return {"u": self.u, "v": self.v, "frames": self.frames, "texts": self.texts}


def nearest(points: Values, others: Values) -> Values:
    """Distance (N,) of each of `points` (N,D) to the nearest of `others` (M,D); inf for none."""
    found = np.full(len(points), np.inf)
    if len(others):
        for first in range(0, len(points), BATCH):
            part = points[first : first + BATCH]
            apart = np.linalg.norm(part[:, None] - others[None], axis=-1)
            found[first : first + BATCH] = apart.min(axis=1)
    return found


def span(values: Values, least: float) -> tuple[float, float]:
    """Range of all values with a little air, at least `least` wide."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    missing = max(least - (high - low), 0.0) / 2
    low, high = low - missing, high + missing
    air = 0.06 * (high - low)
    return low - air, high + air


def draw(
    title: str,
    axes: tuple[str, str],
    source: Values,
    target: Values,
    frames: Sequence[int],
    *,
    reach: float,
    least: float,
    unit: str,
) -> Scatter:
    """Draw target points over source points.

    Args:
        title: what is drawn.
        axes: names of x and y.
        source: (M,2) what the source's footage shows.
        target: (N,2) what the target asks for.
        frames: (N) its frames.
        reach: a target point with no source point this near counts as not covered.
        least: smallest range of an axis.
        unit: behind numbers.
    """
    both = np.concatenate([source, target])
    (x0, x1), (y0, y1) = (span(both[:, axis], least) for axis in (0, 1))

    def place(points: Values) -> Values:
        u = LEFT + (points[:, 0] - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        v = HEIGHT - BOTTOM - (points[:, 1] - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
        return np.asarray(np.round(np.stack([u, v], axis=1), 1), np.float64)

    apart = nearest(target, source)
    covered = apart <= reach
    parts = _axes((x0, x1), (y0, y1), axes)
    parts += [f'<circle class="dot" cx="{u:g}" cy="{v:g}" r="3"/>' for u, v in place(source)]
    placed = place(target)
    for (u, v), near in zip(placed, covered, strict=True):
        parts.append(f'<circle class="{"near" if near else "far"}" cx="{u:g}" cy="{v:g}" r="3"/>')
    ends = (min(frames, default=0), max(frames, default=0))
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" tabindex="0" role="slider" '
        f'aria-label="{escape(title)}" aria-valuemin="{ends[0]}" aria-valuemax="{ends[1]}" '
        f'aria-valuenow="{ends[0]}">' + "".join(parts) + '<circle class="here" r="0"/></svg>'
    )
    texts = [
        f"{axes[0]} {x:.2f}, {axes[1]} {y:.2f}; nearest of the source {_away(d, unit)}"
        for (x, y), d in zip(target, apart, strict=True)
    ]
    share = float(covered.mean()) if len(target) else None
    u, v = placed.T.tolist() if len(placed) else ([], [])
    return Scatter(title, _hint(share, reach, unit), svg, u, v, list(frames), texts, share)


def _away(distance: float, unit: str) -> str:
    return f"{distance:.2f}{unit} away" if np.isfinite(distance) else "nowhere"


def _hint(share: float | None, reach: float, unit: str) -> str:
    if share is None:
        return "the target shows no face"
    return (
        f"{100 * share:.0f} % of the target's faces have one of the source within {reach:g}{unit}"
    )


def _axes(
    x_span: tuple[float, float], y_span: tuple[float, float], names: tuple[str, str]
) -> list[str]:
    """Grid, numbers and names."""
    (x0, x1), (y0, y1) = x_span, y_span
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for tick in nice_ticks(x0, x1, 5):
        u = LEFT + (tick - x0) / (x1 - x0) * (right - LEFT)
        parts.append(f'<path class="grid" d="M{u:.1f},{TOP}V{bottom}"/>')
        parts.append(f'<text x="{u:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>')
    for tick in nice_ticks(y0, y1, 5):
        v = bottom - (tick - y0) / (y1 - y0) * (bottom - TOP)
        parts.append(f'<path class="grid" d="M{LEFT},{v:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{v + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{right}" y="{HEIGHT - 5}" text-anchor="end">{escape(names[0])}</text>')
    parts.append(f'<text x="{LEFT + 5}" y="{TOP + 12}">{escape(names[1])}</text>')
    return parts
