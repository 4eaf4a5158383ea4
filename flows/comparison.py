"""Swaps of one target side by side: a page, a film of the same frames, and tables."""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.process import stream
from flows.reports import REPORTS, Swap, find_swaps
from likeness.contracts.atomic import write_text
from likeness.contracts.catalog import clip_folder, footage_path
from likeness.contracts.documents import load_yaml, read_json
from likeness.contracts.errors import CatalogError, GraphError
from likeness.evaluation.report import changes, figures, html, verdict

MOST_SWAPS = 6
"""As many as there are colours that can be told apart."""
EMBEDDED_BYTES = 10_000_000
"""A longer film stays beside the page, so that the page can still be sent."""
TURNED_DEG = 60.0
"""Turn of a head that costs as much as a whole of similarity, where a face is chosen to show."""
GRID = "likeness.provenance.grid"


def check(root: Path, names: Sequence[str]) -> list[Swap]:
    """The swaps to compare, once everything that they need is there.

    Raises:
        CatalogError: too few, too many, unknown, or of different targets.
        GraphError: one has no render or no report yet.
    """
    chosen = find_swaps(root, names)
    if not 2 <= len(chosen) <= MOST_SWAPS:
        problem = f"compares two to {MOST_SWAPS} different swaps, not {len(chosen)}"
        known = ", ".join(swap.name for swap in find_swaps(root))
        raise CatalogError("compare", problem, f"choose from: {known or 'none'}")
    targets = {swap.entry["target"] for swap in chosen}
    if len(targets) > 1:
        said = ", ".join(f"{swap.name} on {swap.entry['target']}" for swap in chosen)
        step = "compare swaps of one target, since frames must pair"
        raise CatalogError("compare", f"these swaps have different targets ({said})", step)
    for swap in chosen:
        if swap.metrics is None or not (root / swap.folder / "render.mp4").is_file():
            step = f"run `likeness swap {swap.name}`"
            raise GraphError(swap.name, "has no render or no report yet", step)
    return chosen


def source_faces(root: Path, chosen: Sequence[Swap]) -> dict[str, bytes]:
    """Source -> a crop as JPEG that shows the person well, of those whose shards are there.

    It is like the person's other faces (`similarity`: no hand before it) and looks ahead.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from likeness.contracts.tables.base import as_numpy

    found: dict[str, bytes] = {}
    for name in dict.fromkeys(str(swap.entry["source"]) for swap in chosen):
        files = sorted((root / "data/shards" / name).glob("*.parquet"))
        best = -np.inf
        for path in files:
            table = pq.read_table(path, columns=["pose_deg", "similarity", "crop"])
            turned = np.linalg.norm(as_numpy(table["pose_deg"], (3,)), axis=1)
            good = as_numpy(table["similarity"]) - turned / TURNED_DEG
            if len(good) and good.max() > best:
                best = float(good.max())
                found[name] = table["crop"][int(good.argmax())].as_py()
    return found


def write_film(root: Path, chosen: Sequence[Swap], film: Path) -> dict[str, Any]:
    """Write the film in a process of its own; returns frames and times of its pictures.

    Raises:
        GraphError: it failed; it has said why.
    """
    clip = clip_folder(str(chosen[0].entry["target"]), root / "data") / "clip.yaml"
    publish = load_yaml(root / "params.yaml").get("publish") or {}
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "times.json"
        command = [sys.executable, "-m", GRID, str(film), "--target", str(footage_path(clip))]
        for swap in chosen:
            command += ["--swap", swap.name, str(root / swap.folder / "render.mp4")]
        for name, picture in source_faces(root, chosen).items():
            face = Path(folder) / f"{name}.jpg"
            face.write_bytes(picture)
            command += ["--source", str(face)]
        command += ["--text", str(publish["text"])] if publish.get("text") else []
        said: list[str] = []
        code = stream([*command, "--times", str(times)], said.append)
        if code != 0:
            told = next((line for line in said if line.startswith("error: ")), "")
            why = told.removeprefix("error: ") or " ".join(said[-1:]) or f"exit code {code}"
            raise GraphError(film, f"cannot be made ({why})", "correct that")
        shown: dict[str, Any] = read_json(times)
        return shown


def _curves(root: Path, chosen: Sequence[Swap]) -> list[Any]:
    """Charts with a line per swap, and the target's own where it has one."""
    import numpy as np

    from likeness.contracts.tables.base import as_numpy
    from likeness.evaluation.per_frame import PER_FRAME, SCORES
    from likeness.evaluation.report import charts, curves

    tables = [PER_FRAME.read(root / swap.folder / "report/per_frame.parquet") for swap in chosen]
    columns = [{n: as_numpy(t[n]).astype(np.float64) for n in SCORES} for t in tables]
    shots = as_numpy(tables[0]["shot_index"])
    x = np.arange(len(shots), dtype=np.float64)
    cuts = (np.flatnonzero(np.diff(shots)) + 1).tolist()
    drawn = []
    for group in curves.groups(columns[0]):
        name = next(iter(group.columns.values()))
        lines = [
            charts.Curve(swap.name, found[name])
            for swap, found in zip(chosen, columns, strict=True)
            if np.isfinite(found[name]).any()
        ]
        own = group.columns.get("target")
        if own and len(chosen) < MOST_SWAPS:
            lines.append(charts.Curve("target", columns[0][own]))
        if lines:
            title = group.title if len(group.columns) == 1 else f"{group.title}: {_first(group)}"
            drawn.append(charts.draw(title, group.hint, x, lines, floor=group.floor, marks=cuts))
    return [chart for chart in drawn if chart is not None]


def _first(group: Any) -> str:
    return str(next(iter(group.columns)))


def markdown(chosen: Sequence[Swap], table: Sequence[Mapping[str, Any]]) -> str:
    """The table as Markdown: the best in bold, and every baseline that any swap has.

    Baselines that depend on the source are told per swap where they differ.
    """
    names = _baselines(table)
    head = ["metric", "better", *(swap.name for swap in chosen), *map(figures.BASELINES.get, names)]
    lines = [f"| {' | '.join(map(str, head))} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    for row in table:
        own = [f"**{c['text']}**" if c["best"] else c["text"] for c in row["cells"]]
        beside = [_joined(row, name) for name in names]
        lines.append(f"| {' | '.join([row['label'], row['better'], *own, *beside])} |")
    return "\n".join(lines) + "\n"


def _baselines(table: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [cell for row in table for cell in row["cells"]]
    return [n for n in figures.BASELINES if any(c["baselines"][n] is not None for c in cells)]


def _joined(row: Mapping[str, Any], name: str) -> str:
    """A baseline: once where all swaps agree, else one value per swap in their order."""
    texts = [figures.shown(cell["baselines"][name], row["format"]) for cell in row["cells"]]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def comma_separated(chosen: Sequence[Swap], table: Sequence[Mapping[str, Any]]) -> str:
    """The table as CSV: a row per metric, a column per swap, and one per swap and baseline."""
    names = _baselines(table)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    beside = [f"{swap.name}: {name}" for swap in chosen for name in names]
    writer.writerow(["metric", "path", "better", *(swap.name for swap in chosen), *beside])
    for row in table:
        own = [cell["value"] for cell in row["cells"]]
        others = [cell["baselines"][name] for cell in row["cells"] for name in names]
        writer.writerow([row["label"], row["path"], row["better"], *own, *others])
    return buffer.getvalue()


def _page(
    root: Path, chosen: Sequence[Swap], table: Sequence[Mapping[str, Any]], film: Path, shown: Any
) -> str:
    from likeness.evaluation.report import charts

    drawn = _curves(root, chosen)
    names = _baselines(table)
    told = [
        {**row, "baselines": [(figures.BASELINES[n], _joined(row, n)) for n in names]}
        for row in table
    ]
    small = film.stat().st_size <= EMBEDDED_BYTES
    data = {
        "film": shown,
        "charts": [chart.data() for chart in drawn],
        "points": [],
        "plot": charts.box(),
    }
    return html.page(
        "compare.html.j2",
        swaps=[{"name": s.name, "entry": s.entry, "badge": verdict.badge(s.metrics or {})}
               for s in chosen],
        table=told,
        baselines=[figures.BASELINES[name] for name in names],
        film=html.data_uri(film.read_bytes(), "video/mp4") if small else film.name,
        sources={} if any(shown["sources"]) else
                {n: html.data_uri(p) for n, p in source_faces(root, chosen).items()},
        frames=shown["frames"],
        curves=drawn,
        measured={s.name: (s.metrics or {})["frames"]["measured"] for s in chosen},
        data=html.script_json(data),
    )  # fmt: skip


def compare_swaps(root: Path, names: Sequence[str], out: Path | None = None) -> list[Path]:
    """Write compare.html, grid.mp4, table.md and table.csv.

    Args:
        root: folder of the repository.
        names: swaps of one target clip.
        out: folder to write to; one below reports/, named after the swaps, by default.

    Returns:
        What was written, the page first.

    Raises:
        CatalogError, GraphError: see `check`.
    """
    chosen = check(root, names)
    folder = out or REPORTS / f"compare-{'-'.join(swap.name for swap in chosen)}"[:120]
    film = folder / "grid.mp4"
    shown = write_film(root, chosen, root / film)
    table = changes.side_by_side({swap.name: swap.metrics or {} for swap in chosen})
    texts = {
        "compare.html": _page(root, chosen, table, root / film, shown),
        "table.md": markdown(chosen, table),
        "table.csv": comma_separated(chosen, table),
    }
    for name, text in texts.items():
        write_text(root / folder / name, text)
    page, *tables = (folder / name for name in texts)
    return [page, film, *tables]
