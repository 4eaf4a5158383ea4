"""The graph as a picture, and pictures as `data:` addresses for run pages."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.graph import Graph
from flows.graph_layout import Box, place

# Fill and edge by state; colour-blind safe (after Okabe and Ito), and named in the legend.
COLOURS = {
    "ran": ("#cfe8f7", "#0072b2"),
    "cached": ("#eef1ee", "#8a938c"),
    "stale": ("#fdeecb", "#c98a00"),
    "failed": ("#f9d6c9", "#d55e00"),
    "not run": ("#ffffff", "#b9b9b9"),
    "tracked": ("#e6f4ec", "#009e73"),
}
STEP_X, STEP_Y, WIDTH, HEIGHT = 1.95, 0.95, 1.6, 0.68


def _state(box: Box, states: Mapping[str, str]) -> str:
    """State of a box: the worst among the stages it stands for."""
    order = ["failed", "stale", "ran", "not run", "cached", "tracked"]
    found = {states.get(address, "not run") for address in box.members}
    return next((state for state in order if state in found), "not run")


def _draw_box(axes: Any, box: Box, state: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    fill, edge = COLOURS[state]
    x, y = box.column * STEP_X, box.row * STEP_Y
    axes.add_patch(
        FancyBboxPatch(
            (x, y - HEIGHT / 2),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=fill,
            edgecolor=edge,
            linewidth=1.3,
            zorder=3,
        )
    )
    middle, lines = x + WIDTH / 2, _lines(box.subtitle)
    axes.text(
        middle,
        y - 0.09 * len(lines),
        box.title,
        ha="center",
        va="center",
        fontsize=9.5,
        weight="bold",
        color="#1d2329",
        zorder=4,
    )
    for index, text in enumerate(lines):
        axes.text(
            middle,
            y + 0.16 - 0.09 * len(lines) + 0.17 * (index + 0.5),
            text,
            ha="center",
            va="center",
            fontsize=7.5,
            color="#414a52",
            zorder=4,
        )


def _lines(text: str, width: int = 15) -> list[str]:
    """`text` on one line, or on two, parted at the hyphen nearest the middle."""
    cuts = [i + 1 for i, letter in enumerate(text) if letter in "- "]
    if len(text) <= width or not cuts:
        return [text] if text else []
    cut = min(cuts, key=lambda i: abs(i - len(text) / 2))
    return [text[:cut].strip(), text[cut:]]


def _draw_edge(axes: Any, above: Box, below: Box) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Curve

    x0, y0 = above.column * STEP_X + WIDTH, above.row * STEP_Y
    x1, y1 = below.column * STEP_X - 0.05, below.row * STEP_Y
    bend = max((x1 - x0) * 0.5, 0.12)
    points = [(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)]
    codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    axes.add_patch(
        PathPatch(
            Curve(points, codes), facecolor="none", edgecolor="#8d99a3", linewidth=1.0, zorder=1
        )
    )
    tip = [(x1 + 0.05, y1), (x1 - 0.06, y1 - 0.05), (x1 - 0.06, y1 + 0.05)]
    axes.add_patch(Polygon(tip, closed=True, facecolor="#8d99a3", edgecolor="none", zorder=2))


def _draw_legend(axes: Any, states: list[str], y: float) -> None:
    from matplotlib.patches import Rectangle

    for index, state in enumerate(states):
        fill, edge = COLOURS[state]
        x = index * 1.1
        axes.add_patch(
            Rectangle((x, y - 0.09), 0.2, 0.18, facecolor=fill, edgecolor=edge, linewidth=1.1)
        )
        axes.text(x + 0.28, y, state, va="center", fontsize=8, color="#414a52")


def draw_graph(graph: Graph, states: Mapping[str, str], kind: str = "png") -> bytes:
    """Draw the graph, left to right in the order of work.

    Args:
        states: address -> "ran", "cached", "stale", "failed", "not run" or "tracked".
        kind: png or svg.

    Returns:
        The picture's bytes; the same input gives the same bytes.
    """
    # A figure of its own, without pyplot: no window system and no global state.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    boxes, edges = place(graph)
    shown = {key: _state(box, states) for key, box in boxes.items()}
    low = min((box.row for box in boxes.values()), default=0) * STEP_Y - 0.7
    high = max((box.row for box in boxes.values()), default=0) * STEP_Y + 1.0
    right = (max((box.column for box in boxes.values()), default=0) + 1) * STEP_X
    figure = Figure(figsize=(right * 0.68, (high - low) * 0.76), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.0, 0.98, 1.0))
    axes.set_axis_off()
    axes.set_xlim(-0.1, right - STEP_X + WIDTH + 0.1)
    axes.set_ylim(high, low)  # downwards, as one reads
    for key, above in edges.items():
        for other in sorted(above):
            _draw_edge(axes, boxes[other], boxes[key])
    for key, box in boxes.items():
        _draw_box(axes, box, shown[key])
    _draw_legend(axes, [state for state in COLOURS if state in shown.values()], high - 0.3)
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "likeness"}):  # else names inside an SVG are random
        figure.savefig(buffer, format=kind, dpi=130, metadata=metadata)
    return buffer.getvalue()


def data_address(content: bytes, name: str) -> str:
    """`data:` address of a picture; `name` gives its type."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def file_address(path: Path) -> str:
    """`data:` address of a picture file."""
    return data_address(path.read_bytes(), path.name)
