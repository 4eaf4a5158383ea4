"""report.html: everything about a swap on one page that needs no other file and no network.

Depends on what stage `evaluate` is given and nothing else: no clock, no commit. `likeness report`
lays the comparison with the last commit into a copy, at the two marks `SINCE` and `ANNEX`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.frames import FRAMES
from likeness.evaluation.per_frame import SCORES
from likeness.evaluation.report import charts, curves, descent, figures, rows, verdict
from likeness.evaluation.report.album import REASONS, Album, Shown
from likeness.evaluation.report.film import Reel, spans
from likeness.evaluation.report.ground import TEMPLATE, Ground, prepare
from likeness.evaluation.report.html import ANNEX, SINCE, data_uri, page, script_json
from likeness.media.images import encode_jpeg

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
FACE_QUALITY = 80
MOST_BYTES = 14_000_000
"""Strips are shortened rather than let a page grow beyond this."""
CONTENTS = {
    "verdicts": "Verdict",
    "watch": "Watch",
    "look": "Look closely",
    "numbers": "Numbers",
    "worst": "Worst frames",
    "curves": "Over time",
    "coverage": "Coverage",
    "training": "Training",
    "lineage": "Lineage",
    "parameters": "Parameters",
}


@dataclass(frozen=True)
class Report:
    """What the page is made from.

    Attributes:
        swap: its name.
        about: facts of converted.parquet, and "params" of the stage.
        metrics: content of metrics.json.
        columns: scores by name, (T,) with nan where not measured.
        shots: (T,) shot of each frame.
        album: pictures kept while scoring.
        film: target left and render right.
        sources: faces of the source in align's template, (S,S,3) uint8 each.
    """

    swap: str
    about: dict[str, Any]
    metrics: dict[str, Any]
    columns: dict[str, Values]
    shots: npt.NDArray[np.int64]
    album: Album
    film: Reel
    sources: Sequence[Pixels] = ()


def _face(shown: Shown) -> dict[str, Any]:
    pictures = [p for p in (shown.target, shown.render, shown.source) if p is not None]
    row = np.concatenate(pictures, axis=1)
    picture = data_uri(encode_jpeg(row, FACE_QUALITY, "420"))
    size = {"width": row.shape[1], "height": row.shape[0]}
    return {"frame": shown.frame_index, "text": shown.text, "picture": picture} | size


def strips(album: Album, room: int) -> tuple[list[dict[str, Any]], int]:
    """The worst frames of each reason, and how many did not fit.

    Args:
        album: pictures kept while scoring.
        room: characters that all pictures together may take; each strip keeps its worst.
    """
    found = {
        reason.title: [_face(shown) for shown in album.worst[reason.name]]
        for reason in REASONS
        if album.worst[reason.name]
    }
    most = max(map(len, found.values()), default=0)
    while most > 1 and _size(found, most) > room:
        most -= 1
    left_out = sum(len(faces[most:]) for faces in found.values())
    return [{"title": t, "faces": faces[:most]} for t, faces in found.items()], left_out


def _size(found: Mapping[str, list[dict[str, Any]]], most: int) -> int:
    return sum(len(face["picture"]) for faces in found.values() for face in faces[:most])


def _stills(album: Album) -> list[dict[str, Any]]:
    return [
        {
            "frame": still.frame_index,
            "time": f"{still.pts_s:.2f} s",
            "target": data_uri(still.target),
            "render": data_uri(still.render),
        }
        for still in album.stills
    ]


def _parameters(report: Report, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(heading, JSON) of what is known here: the model's own settings, and this stage's."""
    known = {"Model, as trained": config, "Stage evaluate": report.about["params"]}
    return [(n, json.dumps(c, indent=2, sort_keys=True)) for n, c in known.items() if c]


def _judge(metrics: Mapping[str, Any]) -> str:
    """Name of the embedder that gives the second opinion, or why there is none."""
    facts = metrics.get("judge") or {}
    return str(facts.get("name") or facts.get("reason") or "")


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    """What metrics.json says in words about its baselines."""
    found = rows.leaves(metrics.get("baselines") or {})
    return [f"{figures.named(path)}: {text}" for path, text in found if isinstance(text, str)]


def _filmed(frames: Sequence[int]) -> str:
    """Which frames the film shows, in words."""
    return ", ".join(f"{first} to {last}" for first, last in spans(frames))


def render(report: Report, inputs: Mapping[str, Path], ground: Ground | None = None) -> str:
    """The page as HTML text; depends on its arguments alone.

    Args:
        report: what to show.
        inputs: of stage `evaluate`, by name.
        ground: what was prepared from `inputs`; None: that is done now.
    """
    ground = ground or prepare(inputs)
    learned, points = ground.learned, ground.points
    # Baselines that were measured on a few frames only make no curve.
    lines = {name: values for name, values in report.columns.items() if name in SCORES}
    drawn = curves.draw(lines, report.shots)
    film = data_uri(report.film.content, "video/mp4") if report.film.content else ""
    stills = _stills(report.album)
    taken = len(film) + sum(len(s["target"]) + len(s["render"]) for s in stills)
    drawings = [chart.svg for chart in drawn] + [s.svg for s in points]
    # The script's copy of the values is about as long as the picture of them.
    taken += 2 * sum(map(len, drawings)) + len(learned["preview"])
    worst, left_out = strips(report.album, MOST_BYTES - taken)
    content: dict[str, Any] = {
        "verdict": verdict.sentences(report.metrics),
        "badge": verdict.badge(report.metrics),
        "gates": verdict.gates(report.metrics),
        "judge": _judge(report.metrics),
        "remarks": FRAMES.check(inputs["frames"]).get("remarks", []),
        "table": rows.table(report.metrics),
        "baselines": [figures.BASELINES[name] for name in rows.baselines(report.metrics)],
        "notes": _notes(report.metrics),
        "everything": list(rows.leaves(report.metrics)),
        "film": film,
        "sources": [data_uri(encode_jpeg(p, FACE_QUALITY, "420")) for p in report.sources],
        "filmed": _filmed(report.film.frames),
        "stills": stills,
        "strips": worst,
        "left_out": left_out,
        "most_megabytes": MOST_BYTES // 10**6,
        "curves": drawn,
        "coverage": points,
        "training": learned,
        "lineage": descent.draw(descent.nodes(inputs, report.about, learned["config"])),
        "parameters": _parameters(report, learned["config"]),
        "since": SINCE,
        "annex": ANNEX,
    }
    empty = {"watch": not film, "look": not stills, "worst": not worst, "curves": not drawn}
    content["contents"] = [(i, name) for i, name in CONTENTS.items() if not empty.get(i)]
    content["data"] = script_json(
        {
            "film": {"frames": report.film.frames, "times": report.film.times_s},
            "charts": [chart.data() for chart in (*drawn, *learned["charts"])],
            "points": [s.data() for s in points],
            "plot": charts.box(),
        }
    )
    return page(TEMPLATE, report=report, **content)


def write_report(
    path: Path, report: Report, inputs: Mapping[str, Path], ground: Ground | None = None
) -> None:
    """Write the page to `path`.

    Args:
        path: the .html.
        report: what to show.
        inputs: of stage `evaluate`, by name: what the swap was made from.
        ground: see `render`.
    """
    path.write_text(render(report, inputs, ground), encoding="utf-8")
