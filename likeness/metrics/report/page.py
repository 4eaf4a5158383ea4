"""report.html: everything about a swap on one page that needs no other file and no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt

from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.history import HISTORY
from likeness.media.images import encode_jpeg
from likeness.metrics.report import charts, rows
from likeness.metrics.report.album import REASONS, Album, Shown
from likeness.metrics.report.charts import Chart, Curve
from likeness.metrics.report.film import Reel

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
TEMPLATE = "template.html.j2"
FACE_QUALITY = 80
MOST_LOSSES = 6


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
    """

    swap: str
    about: dict[str, Any]
    metrics: dict[str, Any]
    columns: dict[str, Values]
    shots: npt.NDArray[np.int64]
    album: Album
    film: Reel


def data_uri(content: bytes, kind: str = "image/jpeg") -> str:
    """A picture or film as text that a page can hold."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def _face(shown: Shown) -> dict[str, Any]:
    pair = np.concatenate([shown.target, shown.render], axis=1)
    picture = data_uri(encode_jpeg(pair, FACE_QUALITY, "420"))
    return {"frame": shown.frame_index, "text": shown.text, "picture": picture}


def strips(album: Album) -> list[dict[str, Any]]:
    """The worst frames of each reason, in order of frames within falling badness."""
    return [
        {"title": reason.title, "faces": [_face(shown) for shown in album.worst[reason.name]]}
        for reason in REASONS
        if album.worst[reason.name]
    ]


def curves(report: Report) -> list[Chart]:
    """Curves over the frames; those without any value are left out."""
    columns = report.columns
    x = np.arange(len(report.shots), dtype=np.float64)
    cuts = (np.flatnonzero(np.diff(report.shots)) + 1).tolist()

    def lines(**names: str) -> list[Curve]:
        return [Curve(label.replace("_", " "), columns[name]) for label, name in names.items()]

    drawn = [
        charts.draw(
            "Identity",
            "cosine; to the source higher is better",
            x,
            lines(
                to_source="identity_source",
                to_target="identity_target",
                source_pasted="pasted_identity_source",
            ),
            floor=0.0,
            marks=cuts,
        ),
        charts.draw(
            "Head pose",
            "degrees from the target's, lower is better",
            x,
            lines(swap="pose_error_deg", source_pasted="pasted_pose_error_deg"),
            floor=0.0,
            marks=cuts,
        ),
        charts.draw(
            "Landmarks and expression",
            "eye distances from the target's, lower is better",
            x,
            lines(landmarks="landmark_error", expression="expression_error"),
            floor=0.0,
            marks=cuts,
        ),
        charts.draw(
            "Border",
            "colour step ΔE 2000, near the target's is better",
            x,
            lines(swap="boundary_delta_e", target="copied_boundary_delta_e"),
            marks=cuts,
        ),
        charts.draw(
            "Lightness of the face",
            "Lab L inside the mask; parallel lines do not flicker",
            x,
            lines(swap="lab_l", target="target_lab_l"),
            marks=cuts,
        ),
        charts.draw(
            "Outside the mask",
            "PSNR in dB, higher is better",
            x,
            lines(swap="psnr_outside_db"),
            marks=cuts,
        ),
    ]
    return [chart for chart in drawn if chart is not None]


def training(folder: Path) -> dict[str, Any]:
    """Preview and loss curves of a model, as far as its family has any."""
    preview, history = folder / "preview.jpg", folder / "history.parquet"
    found: dict[str, Any] = {"preview": "", "charts": []}
    if preview.is_file():
        found["preview"] = data_uri(preview.read_bytes())
    if history.is_file():
        table = HISTORY.read(history)
        images = as_numpy(table["images"]).astype(np.float64)
        values = as_numpy(table["value"])
        labels = [
            f"{p} {n}" if p not in ("", n) else n
            for p, n in zip(table["phase"].to_pylist(), table["name"].to_pylist(), strict=True)
        ]
        chart = _losses(images, values, np.array(labels))
        found["charts"] = [chart] if chart else []
    return found


def _losses(images: Values, values: Values, labels: npt.NDArray[np.str_]) -> Chart | None:
    """One chart of all logged values, the most often logged first."""
    names, counts = np.unique(labels, return_counts=True)
    chosen = names[np.argsort(-counts, kind="stable")][:MOST_LOSSES]
    x = np.unique(images)
    lines = []
    for name in chosen:
        line = np.full(len(x), np.nan)
        line[np.searchsorted(x, images[labels == name])] = values[labels == name]
        lines.append(Curve(str(name), line))
    if not lines:
        return None
    return charts.draw("Training", "loss, lower is better", x, lines, floor=0.0, x_name="images")


def render(report: Report, inputs: Mapping[str, Path]) -> str:
    """The page as HTML text; depends on its arguments alone."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    stills = [
        {
            "frame": still.frame_index,
            "time": f"{still.pts_s:.2f} s",
            "target": data_uri(still.target),
            "render": data_uri(still.render),
        }
        for still in report.album.stills
    ]
    learned = training(inputs["model"])
    drawn = curves(report)
    every = [*drawn, *learned["charts"]]
    return environment.get_template(TEMPLATE).render(
        report=report,
        verdict=rows.verdict(report.metrics),
        table=rows.table(report.metrics),
        gates=report.metrics.get("gates", {}),
        film=data_uri(report.film.content, "video/mp4") if report.film.content else "",
        stills=stills,
        strips=strips(report.album),
        curves=drawn,
        training=learned,
        parameters=json.dumps(report.about["params"], indent=2, sort_keys=True),
        data=json.dumps(
            [{"names": c.names, "x": c.x, "values": c.values, "span": c.span} for c in every],
            separators=(",", ":"),
        ).replace("</", "<\\/"),
        plot={
            "width": charts.WIDTH,
            "left": charts.LEFT,
            "right": charts.RIGHT,
            "top": charts.TOP,
            "bottom": charts.HEIGHT - charts.BOTTOM,
        },
    )


def write_report(path: Path, report: Report, inputs: Mapping[str, Path]) -> None:
    """Write the page to `path`.

    Args:
        path: the .html.
        report: what to show.
        inputs: of stage `evaluate`, by name: what the swap was made from.
    """
    path.write_text(render(report, inputs), encoding="utf-8")
