"""Curves as inline SVG: colours come from the page's style, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
At = Callable[[float, float], str]
Span = tuple[float, float]
WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 24
MOST_POINTS = 600


@dataclass(frozen=True)
class Curve:
    """One line of a chart: its name, and values with nan where nothing was measured."""

    name: str
    values: Values


@dataclass(frozen=True)
class Chart:
    """A chart as the template and its script use it.

    Attributes:
        title: what is drawn.
        hint: unit and which way is better.
        svg: the picture.
        names: of the curves, in the order of their colours.
        x: of the points (frames, images).
        values: of each curve at x, None for gaps.
        span: x at the left and right end of the plot.
        linked: x counts frames, so that a click can show one.
    """

    title: str
    hint: str
    svg: str
    names: list[str]
    x: list[float]
    values: list[list[float | None]]
    span: tuple[float, float]
    linked: bool = True

    def data(self) -> dict[str, object]:
        """What the page's script reads."""
        return {
            "names": self.names,
            "x": self.x,
            "values": self.values,
            "span": self.span,
            "linked": self.linked,
        }


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers that cover [low, high], about as many as asked for."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw)
    first = np.ceil(low / step - 1e-9)
    last = np.floor(high / step + 1e-9)
    return [round(float(k * step), 10) + 0.0 for k in np.arange(first, last + 1)]


def bounds(curves: Sequence[Curve], floor: float | None) -> tuple[float, float]:
    """Range of y: that of all values with a little air; it includes `floor` if given."""
    known = np.concatenate([c.values[np.isfinite(c.values)] for c in curves])
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    low = low if floor is None else min(low, floor)
    air = (high - low) * 0.06 or max(abs(high) * 0.1, 0.01)
    return (low if floor is not None and low == floor else low - air), high + air


def thinned(x: Values, curves: Sequence[Curve]) -> tuple[Values, list[Curve]]:
    """Points where anything is known, at most `MOST_POINTS`, evenly chosen."""
    stacked = np.stack([c.values for c in curves])
    known = np.flatnonzero(np.isfinite(stacked).any(axis=0))
    if len(known) > MOST_POINTS:
        known = known[np.linspace(0, len(known) - 1, MOST_POINTS).astype(int)]
    return x[known], [Curve(c.name, c.values[known]) for c in curves]


def draw(
    title: str,
    hint: str,
    x: Values,
    curves: Sequence[Curve],
    *,
    floor: float | None = None,
    marks: Sequence[float] = (),
    x_name: str = "frame",
) -> Chart | None:
    """Draw curves over `x`; None if nothing was measured.

    Args:
        title, hint: texts.
        x: (T,) positions.
        curves: values at x.
        floor: a y that must be visible.
        marks: x of vertical lines (cuts between shots).
        x_name: what x counts.
    """
    points, shown = thinned(x, curves)
    if not len(points):
        return None
    left, right = float(points[0]), float(max(points[-1], points[0] + 1))
    low, high = bounds(shown, floor)

    def at(px: float, py: float) -> str:
        u = LEFT + (px - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        v = HEIGHT - BOTTOM - (py - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return f"{u:.1f},{v:.1f}"

    parts = _axes((low, high), (left, right), x_name, at)
    for mark in marks:
        if left < mark <= right:
            ends = f"M{at(mark, low)}L{at(mark, high)}"
            parts.append(f'<path class="cut" d="{ends}"/>')
    for place, curve in enumerate(shown):
        path = "".join(
            f"{'M' if start else 'L'}{at(px, py)}" for start, px, py in _steps(points, curve.values)
        )
        parts.append(f'<path class="line c{place}" d="{path}"/>')
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" tabindex="0" role="slider" '
        f'aria-label="{escape(title)} by {escape(x_name)}" aria-valuemin="{left:g}" '
        f'aria-valuemax="{right:g}" aria-valuenow="{left:g}">'
        + "".join(parts)
        + '<path class="cursor" d=""/></svg>'
    )
    values = [[round(float(v), 5) if np.isfinite(v) else None for v in c.values] for c in shown]
    names = [c.name for c in shown]
    x_list = [float(p) for p in points]
    return Chart(title, hint, svg, names, x_list, values, (left, right), x_name == "frame")


def _steps(x: Values, y: Values) -> list[tuple[bool, float, float]]:
    """Points of a line as (begins anew, x, y); values that are not known are bridged."""
    known = np.isfinite(y)
    return [
        (place == 0, float(a), float(b))
        for place, (a, b) in enumerate(zip(x[known], y[known], strict=True))
    ]


def _axes(y_span: Span, x_span: Span, x_name: str, at: At) -> list[str]:
    """Grid lines and numbers at round values; `at` places a point of the plot."""
    (low, high), (left, right) = y_span, x_span
    parts = []
    for tick in nice_ticks(low, high):
        begin, end = at(left, tick), at(right, tick)
        y = float(begin.split(",")[1])
        parts.append(f'<path class="grid" d="M{begin}L{end}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in nice_ticks(left, right, 6):
        px = float(at(tick, low).split(",")[0])
        parts.append(f'<text x="{px:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{TOP}" text-anchor="end">{x_name}</text>')
    return parts


def box() -> dict[str, float]:
    """The plot's place in the picture, for the page's script."""
    ends = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM}
    return {"width": WIDTH, **ends}
