"""Stage `evaluate`: what a swap is worth, in numbers and pictures.

In: the analyser pack, the target clip with frames.parquet and aligned.json, the shards of the
source identity, the model's folder, converted.parquet and render.mp4. Out: metrics.json,
per_frame.parquet, curves.csv, contact_sheet.jpg and a report.html that needs no other file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from likeness.contracts.catalog import DATA, below, footage_path
from likeness.contracts.documents import Document, read_json, sha256_of, to_json
from likeness.contracts.errors import FootageError, TableError
from likeness.contracts.params import swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.frames import FRAMES
from likeness.contracts.tables.per_frame import PER_FRAME, SCORES
from likeness.media.footage import open_footage
from likeness.media.images import encode_jpeg
from likeness.metrics import sampling, summary
from likeness.metrics.clip import Clip, face_rows, plan
from likeness.metrics.gallery import read_source
from likeness.metrics.report.album import Album
from likeness.metrics.report.film import Film, Reel
from likeness.metrics.report.page import Report, write_report
from likeness.metrics.report.sheet import contact_sheet
from likeness.metrics.stream import FaceRow, Scorer
from models.analysers.judge import load_judge

EVEN_FACES = 9
"""Evenly spaced faces on the contact sheet."""
SHEET_QUALITY = 88
CURVES = (
    "ssim_outside",
    "psnr_outside_db",
    "colour_shift",
    "boundary_delta_e",
    "expression_error",
    "landmark_error",
    "pose_error_deg",
    "identity_target",
    "identity_source",
)
"""Columns of curves.csv; the last is what `dvc plots` draws unless told otherwise."""


class EvaluateParams(Document):
    """`evaluate:` of params.yaml."""

    embedder: Literal["pack", "faceplugin"] = Field(
        default="pack",
        description="the pack's own, which filter has used, or one that nothing else uses",
    )
    max_frames: int = Field(
        default=120, ge=3, description="frames that networks see, evenly spaced in runs of three"
    )
    gallery_faces: int = Field(
        default=64, ge=1, le=512, description="of the source: to compare with, and to paste"
    )
    margin_px: int = Field(
        default=4, ge=0, le=64, description="frame px around the mask that count as touched"
    )
    worst_frames: int = Field(default=10, ge=0, le=50, description="shown per metric")
    stills: int = Field(default=8, ge=1, le=24, description="full frames in the report")
    film_frames: int = Field(
        default=120, ge=0, le=2000, description="from the first face on, as a film in the report"
    )
    gates: dict[str, str] = Field(
        default={}, description='bounds on metrics.json: {identity_cosine.source: ">= 0.35"}'
    )


def crops_of(aligned: Path) -> Path:
    """The target's crops, as aligned.json names them.

    Raises:
        TableError: they are not the ones that it describes.
    """
    content = read_json(aligned)
    path = below(DATA, str(Path(content["crops"]).relative_to(DATA)))
    if not path.is_file() or sha256_of(path) != content["sha256"]:
        raise TableError(path, f"is not the file that {aligned} describes", "run `dvc repro`")
    return path


def album_for(clip: Clip, params: EvaluateParams) -> Album:
    """An empty album that knows which frames to show for their even spacing."""
    whole = clip.measure == sampling.ALL
    measured = np.flatnonzero(whole & (clip.faces > 0))
    shown = measured if len(measured) else np.flatnonzero(whole)
    even = measured[sampling.evenly(len(measured), EVEN_FACES)]
    stills = shown[sampling.evenly(len(shown), params.stills)]
    return Album(params.worst_frames, set(even.tolist()), set(stills.tolist()))


def score(
    context: Context[EvaluateParams], clip: Clip, rows: Iterable[list[FaceRow]], scorer: Scorer
) -> tuple[int, Reel]:
    """Go through both videos together; returns how many frames cannot be decoded, and the film.

    Raises:
        FootageError: the render has another number of frames than the target.
    """
    unread = 0
    render_path = context.inputs["render"]
    target_path = footage_path(context.inputs["clip"])
    with (
        open_footage(target_path) as target,
        open_footage(render_path) as render,
        context.progress("frames", len(clip.shots)) as advance,
    ):
        film = Film(target, int((clip.faces > 0).argmax()), context.params.film_frames)
        for before, after, faces in zip_longest(target.frames(), render.frames(), rows):
            if before is None or after is None or faces is None:
                problem = f"has another number of frames than {target_path}"
                raise FootageError(render_path, problem, "run `dvc repro`")
            if before.decoded and after.decoded:
                scorer.frame(before, after, faces, int(clip.measure[before.frame_index]))
                film.frame(before, after)
            else:
                unread += 1
            advance(1)
        return unread, film.finish()


def write_tables(
    context: Context[EvaluateParams], clip: Clip, columns: summary.Columns, facts: dict[str, Any]
) -> None:
    """per_frame.parquet, and curves.csv with the frames where everything was measured."""
    tracks = np.ma.masked_less(clip.tracks, 0)
    cells: dict[str, Any] = {
        "frame_index": np.arange(len(clip.shots), dtype=np.int32),
        "pts_s": clip.pts_s,
        "shot_index": clip.shots.astype(np.int32),
        "track_index": tracks.tolist(),
        "faces": clip.faces.astype(np.int16),
        "sampled": clip.measure == sampling.ALL,
    }
    for name in SCORES:
        cells[name] = [summary.rounded(value, 6) for value in columns[name]]
    with Writer(PER_FRAME, context.outputs["per_frame"]) as writer:
        writer.add(cells)
        writer.facts.update(facts)
    with context.outputs["curves"].open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["frame_index", *CURVES])
        for frame in np.flatnonzero(~np.isnan(columns["identity_source"])):
            table.writerow([frame, *(f"{columns[name][frame]:.6f}" for name in CURVES)])


def run(context: Context[EvaluateParams]) -> None:
    """Measure, then write numbers and pictures."""
    params, inputs, outputs = context.params, context.inputs, context.outputs
    # A gate that names no metric is found before the work, not after it.
    summary.verdicts(summary.summarise(summary.blank(), np.zeros(0, int), np.nan), params.gates)
    judge = load_judge(inputs["pack"], params.embedder)
    source, gallery = read_source(inputs["source"], judge.embed, params.gallery_faces)
    clip = plan(inputs["frames"], inputs["converted"], params.max_frames)
    album = album_for(clip, params)
    canonical, _ = judge.pack.canonical_mesh()
    scorer = Scorer(len(clip.shots), judge, canonical, source, params.margin_px, album)
    crops = crops_of(inputs["aligned"])
    unread, film = score(context, clip, face_rows(crops, inputs["converted"], clip), scorer)
    scorer.finish()
    itself = gallery.pop("source_itself")
    metrics = summary.summarise(scorer.columns, clip.shots, itself)
    counts = {
        "total": len(clip.shots),
        "with_face": int((clip.faces > 0).sum()),
        "measured": int((~np.isnan(scorer.columns["identity_source"])).sum()),
        "undecodable": unread,
    }
    gates = summary.verdicts(metrics, params.gates)
    metrics |= {"frames": counts, "embedder": judge.facts | gallery}
    if gates:
        metrics |= {"gates": gates, "gates_passed": all(g["passed"] for g in gates.values())}
    outputs["metrics"].write_text(to_json(metrics), encoding="utf-8")
    swap = context.options["swap"]
    facts = {
        "swap": swap,
        "embedder": judge.facts["name"],
        "embedding_dim": judge.facts["dimension"],
        "frames": counts["total"],
        "frames_with_face": counts["with_face"],
        "frames_sampled": int((clip.measure == sampling.ALL).sum()),
    }
    write_tables(context, clip, scorer.columns, facts)
    sheet = contact_sheet(album, swap)
    outputs["contact_sheet"].write_bytes(encode_jpeg(sheet, SHEET_QUALITY, "420"))
    about = context.facts["converted"] | {"params": params.model_dump()}
    report = Report(swap, about, metrics, scorer.columns, clip.shots, album, film)
    write_report(outputs["html"], report, inputs)
    if not counts["with_face"]:
        context.say(f"{swap}: no face was replaced; the metrics of faces are null")


STAGE = Stage(
    name="evaluate",
    params=EvaluateParams,
    inputs={
        "pack": None,
        "clip": None,
        "frames": FRAMES,
        "aligned": None,
        "source": None,
        "model": None,
        "converted": CONVERTED,
        "render": None,
    },
    outputs={
        "metrics": None,
        "per_frame": PER_FRAME,
        "curves": None,
        "contact_sheet": None,
        "html": None,
    },
    options=("swap",),
    run=run,
    overrides=swap_overrides("evaluate"),
    description="metrics, per-frame curves, contact sheet and report of a swap",
)

if __name__ == "__main__":
    STAGE.main()
