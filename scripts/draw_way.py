"""Draw docs/pictures/way.png: the way of the data through all stages, read from the dvc.yaml files.

usage: python scripts/draw_way.py
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Curve
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs/pictures/way.png"
FILES = ("tasks/clip.dvc.yaml", "tasks/identity.dvc.yaml", "dvc.yaml")
LANES = {"once": "once", "clip": "per clip", "identity": "per identity or pool",
         "model": "per model", "swap": "per swap", "everybody": "over everybody"}  # fmt: skip
PLACES = {
    "names": ("once", 0, 0), "code": ("once", 1, 0), "pack": ("once", 2, 0),
    "judge": ("once", 3, 0), "perceptual": ("once", 4, 0),
    "footage": ("clip", 0, 0), "frames": ("clip", 1, 0), "detect": ("clip", 2, 0),
    "filter": ("clip", 3, 0), "align": ("clip", 4, 0), "embed": ("clip", 5, 0),
    "roster": ("identity", 2, 0), "shard": ("identity", 5, 0), "pool": ("identity", 5, 1),
    "appearance": ("identity", 6, 0),
    "train": ("model", 6, 0), "finetune": ("model", 6, 1),
    "convert": ("swap", 7, 0), "blend": ("swap", 8, 0), "evaluate": ("swap", 9, 0),
    "publish": ("swap", 10, 0), "baselines": ("swap", 8, 1), "probes": ("swap", 9, 1),
    "traces": ("swap", 10, 1),
    "views": ("everybody", 7, 0), "retrieval": ("everybody", 10, 0),
    "detectability": ("everybody", 11, 0),
}  # fmt: skip
"""Stage -> lane, column, and row within the lane."""
MAIN = ("footage", "frames", "detect", "filter", "align", "shard", "train", "convert", "blend",
        "evaluate", "publish")  # fmt: skip
"""The way from footage to a published film."""
FOOTAGE = "data/clips/*/*"
ALIKE = {("pool", "train"), ("finetune", "convert")}
"""A pool writes where shards of identities lie, a continued model where models lie."""
WIDE, HIGH, STEP_X, STEP_Y = 1.36, 0.6, 1.62, 1.0
INK, PALE, STRONG, FILL = "#1d2329", "#9aa5ad", "#0072b2", "#eaf3f9"


def pattern(path: object) -> str:
    """A path of dvc.yaml with `*` for each name in it; a mapping's key is the path."""
    text = path if isinstance(path, str) else next(iter(path))  # type: ignore[call-overload]
    return re.sub(r"\$\{[^}]*\}", "*", str(text))


def stages() -> dict[str, dict[str, Any]]:
    """Every stage of the templates and of the root's dvc.yaml, without the names it runs for."""
    found: dict[str, dict[str, Any]] = {}
    for file in FILES:
        content = YAML(typ="safe").load((ROOT / file).read_text(encoding="utf-8"))
        for name, stage in content["stages"].items():
            found[str(name)] = dict(stage.get("do", stage))
    return found


def meets(dep: str, out: str, *, by_name: bool) -> bool:
    """Whether two paths name one thing, or one lies in the other.

    `by_name`: a name left open in what is read may be any folder that is written, too.
    """
    pairs = zip(dep.split("/"), out.split("/"), strict=False)
    return all(wrote in {read, "*"} or (by_name and read == "*") for read, wrote in pairs)


def edges(found: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Which stage reads what another one writes; `footage` is the tracked file of a clip."""
    outs = [
        (name, pattern(path))
        for name, stage in found.items()
        for kind in ("outs", "metrics", "plots")
        for path in stage.get(kind, [])
    ]
    pairs = {("footage", "frames"), *ALIKE}
    for below, stage in found.items():
        for dep in map(pattern, stage.get("deps", [])):
            if dep == FOOTAGE:
                continue
            # `data/packs/*` is what stage `pack` writes, though `data/packs/judge` fits it, too.
            same = [name for name, out in outs if out == dep][:1]
            near = same or [name for name, out in outs if meets(dep, out, by_name=False)]
            near = near or [name for name, out in outs if meets(dep, out, by_name=True)]
            pairs |= {(above, below) for above in near if above != below}
    return pairs


def direct(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges that no longer way implies."""
    below: dict[str, set[str]] = defaultdict(set)
    for one, two in pairs:
        below[one].add(two)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(below[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(below[name])
        return seen

    return {
        (one, two) for one, two in pairs if not any(two in reached(o) for o in below[one] - {two})
    }


def rows() -> dict[str, float]:
    """Top of each lane, in rows."""
    top, at = {}, 0.0
    for lane in LANES:
        top[lane] = at
        at += 1 + max(row for kind, _, row in PLACES.values() if kind == lane)
    return top


def arrow(axes: Any, one: tuple[float, float], two: tuple[float, float], *, strong: bool) -> None:
    """An arrow from box to box: from side to side, or downwards within a column."""
    if two[0] > one[0]:
        (x0, y0), (x1, y1) = (one[0] + WIDE / 2, one[1]), (two[0] - WIDE / 2, two[1])
        bend = max((x1 - x0) * 0.5, 0.1)
        points = [(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)]
    else:
        side = 1 if two[1] > one[1] else -1
        (x0, y0), (x1, y1) = (one[0], one[1] + side * HIGH / 2), (two[0], two[1] - side * HIGH / 2)
        points = [(x0, y0), (x0, (y0 + y1) / 2), (x1, (y0 + y1) / 2), (x1, y1)]
    codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(points, codes),
            arrowstyle="-|>",
            mutation_scale=11,
            color=STRONG if strong else PALE,
            linewidth=2.2 if strong else 1.0,
            zorder=2 if strong else 1,
        )
    )


def draw() -> Figure:
    """The picture."""
    found, top = stages(), rows()
    if unknown := set(found) - set(PLACES):
        raise SystemExit(f"error: PLACES: lacks {', '.join(sorted(unknown))}; give each a place")
    height = max(top.values()) + 1
    figure = Figure(figsize=(13.4, 0.72 * height + 0.3), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-1.75, 12 * STEP_X)
    axes.set_ylim(height * STEP_Y + 0.1, -0.15)

    def middle(name: str) -> tuple[float, float]:
        lane, column, row = PLACES[name]
        return column * STEP_X + WIDE / 2, (top[lane] + row + 0.5) * STEP_Y

    for index, (lane, title) in enumerate(LANES.items()):
        last = height if index == len(LANES) - 1 else list(top.values())[index + 1]
        band = (-1.75, top[lane] * STEP_Y), 12 * STEP_X + 1.75, (last - top[lane]) * STEP_Y
        axes.add_patch(Rectangle(*band, facecolor="#f6f7f6" if index % 2 else "white", zorder=0))
        axes.text(-1.62, (top[lane] + 0.5) * STEP_Y, title.replace(" or ", "\nor "), va="center",
                  fontsize=9.5, color="#5a646c")  # fmt: skip
    main = set(itertools.pairwise(MAIN))
    for one, two in sorted(direct(edges(found)) | main):
        if PLACES[one][0] != "once":  # which many stages read: their arrows would hide all others
            arrow(axes, middle(one), middle(two), strong=(one, two) in main)
    for name in sorted({*found, "footage"}):
        x, y = middle(name)
        corner = (x - WIDE / 2, y - HIGH / 2)
        axes.add_patch(
            FancyBboxPatch(
                corner, WIDE, HIGH, boxstyle="round,pad=0,rounding_size=0.09", zorder=3,
                facecolor=FILL if name in MAIN else "white",
                edgecolor=STRONG if name in MAIN else "#8a938c", linewidth=1.3,
            )
        )  # fmt: skip
        axes.text(x, y, name, ha="center", va="center", fontsize=9.5, color=INK,
                  weight="bold" if name in MAIN else "normal", zorder=4)  # fmt: skip
    return figure


if __name__ == "__main__":
    draw().savefig(OUT, dpi=110, metadata={"Software": None})
    print(f"wrote {OUT.relative_to(ROOT)}")
