"""Stage `evaluate`: what a swap is worth, in numbers and pictures.

In: the analyser pack, the judge (a second embedder), the target clip with frames.parquet and
aligned.json, the shards of the source identity, the model's folder, baselines.parquet,
converted.parquet and render.mp4. Out: metrics.json, per_frame.parquet, curves.csv,
contact_sheet.jpg and a report.html that needs no other file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from likeness.contracts.documents import read_json, to_json
from likeness.contracts.errors import TableError
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params.evaluate import EvaluateParams
from likeness.contracts.sections import swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts
from likeness.contracts.tables.baselines import BASELINES
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.frames import FRAMES
from likeness.evaluation import sampling, summary
from likeness.evaluation.clip import face_rows, plan, read_faces
from likeness.evaluation.face import FaceRow
from likeness.evaluation.gallery import read_source
from likeness.evaluation.gates import Tree
from likeness.evaluation.look import Measures
from likeness.evaluation.per_frame import PER_FRAME
from likeness.evaluation.reference import Reference, read_reference
from likeness.evaluation.report.album import Album
from likeness.evaluation.report.film import Reel
from likeness.evaluation.stream import Scorer, Setting
from likeness.evaluation.tables import write_curves, write_per_frame
from likeness.media.footage import Footage
from likeness.media.images import encode_jpeg
from likeness.vision.squares import Squares
from models.analysers.judge import Judge, load_judge
from tasks._crops import crops_of
from tasks._judging import album_for, film_of, score, videos_of
from tasks._whole import NO_MEANING, explained, in_film, rows_in_crop

if TYPE_CHECKING:  # imports the page's template engine
    from likeness.evaluation.report.ground import Ground

SHEET_QUALITY = 88
SOURCE_YAWS = (0.0, -25.0, 25.0)
"""Degrees of the source's faces that stand beside the film."""


@dataclass(frozen=True)
class Pages:
    """What the written outputs are made from, beside metrics.json."""

    scorer: Scorer
    album: Album
    film: Reel
    ground: Ground


def summary_of(scorer: Scorer, judge: Judge, unread: int) -> Tree:
    """metrics.json without verdicts and without what is said of baselines."""
    clip, columns = scorer.setting.clip, scorer.found.columns
    gallery = dict(scorer.setting.source.result().facts)
    itself = [float(gallery.pop(name)) for name in ("source_itself", "second_itself")]
    crowds = scorer.found.crowds() | {summary.SOURCE: scorer.setting.source.result().features}
    metrics = summary.summarise(columns, clip.shots, itself[0], itself[1], crowds)
    if not judge.has_second:
        metrics["identity_independent"]["reason"] = judge.second_facts["reason"]
    counts = {
        "total": len(clip.shots),
        "with_face": int((clip.faces > 0).sum()),
        "measured": int((~np.isnan(columns["identity_source"])).sum()),
        "undecodable": unread,
    }
    return metrics | {
        "frames": counts,
        "embedder": judge.facts | gallery,
        "judge": judge.second_facts,
    }


def load_networks(context: Context[EvaluateParams]) -> Judge:
    """The pack and the judge, which must be no network that trained the model.

    Raises:
        WeightsError: see models.analysers.judge.
    """
    config = context.inputs["model"] / "config.json"
    used = read_json(config).get("perceptual_networks", []) if config.is_file() else []
    hashes = tuple(network["sha256"] for network in used)
    return load_judge(context.inputs["pack"], context.inputs["judge"], hashes)


def checked_reference(path: Path, target: Footage, facts: Mapping[str, Facts]) -> Reference:
    """The baselines of this swap, if they are of this footage.

    Raises:
        TableError: they are of another one.
    """
    reference = read_reference(path, target)
    if reference.facts["footage_sha256"] != facts["frames"]["footage_sha256"]:
        raise TableError(path, "is of other footage than frames.parquet", "run `dvc repro`")
    return reference


def facts_of(reference: Reference) -> Tree:
    """What metrics.json says of the baselines."""
    facts = {name: reference.facts[name] for name in ("crf", "preset", "undecodable")}
    counts = {"runs": len(reference.middles), "recognised": len(reference.singles)}
    return facts | counts | {"mesh_transfer": "default settings, fitted to the same source"}


def measures_of(judge: Judge, facts: Facts) -> Measures:
    """Networks and canonical face for footage with these stream facts."""
    size, aspect = (facts["width_px"], facts["height_px"]), facts["sample_aspect_ratio"]
    return Measures(judge, judge.pack.canonical_mesh()[0], Squares.shaped(*size, aspect))


def page_ground(inputs: Mapping[str, Path]) -> Ground:
    """What the page says that hangs on no measurement; its modules take a while to import."""
    from likeness.evaluation.report.ground import prepare

    return prepare(inputs)


def measure(context: Context[EvaluateParams], helper: ThreadPoolExecutor) -> tuple[Tree, Pages]:
    """metrics.json without verdicts, and what else there is to write.

    Args:
        context: of the stage.
        helper: one thread, for what is needed later than the first frame.
    """
    params, inputs = context.params, context.inputs
    loaded = helper.submit(load_networks, context)
    crops = crops_of(read_json(inputs["aligned"]), inputs["aligned"])
    target, render = videos_of(inputs["clip"], inputs["render"])
    reference = checked_reference(inputs["baselines"], target, context.facts)
    faces, made = read_faces(inputs["frames"], crops), (reference.singles, reference.middles)
    clip = plan(faces, params.max_frames, params.judge_frames, *made)
    album, judge = album_for(clip, params.worst_frames, params.stills), loaded.result()
    shown = (params.gallery_faces, params.judge_frames)
    source = helper.submit(read_source, inputs["source"], judge, *shown)
    ground = helper.submit(page_ground, inputs)
    rows: Iterable[list[FaceRow]] = face_rows(crops, inputs["converted"], clip)
    film, without = film_of(context, (target, render)), tuple[str, ...]()
    if film is not None:
        reference, without = in_film(reference, film), NO_MEANING
        target, rows = film, rows_in_crop(rows, film.side_px)
    album.aspect = target.facts["sample_aspect_ratio"]
    using = measures_of(judge, target.facts)
    setting = Setting(clip, using, source, reference, params.margin_px, without)
    scorer = Scorer(setting, album)
    with context.progress("frames", len(clip.shots)) as advance:
        unread, reel = score((target, render), rows, scorer, params.film_frames, advance)
    metrics = summary_of(scorer, judge, unread) | {"baselines": facts_of(reference)}
    metrics = metrics if film is None else explained(metrics, film)
    return metrics, Pages(scorer, album, reel, ground.result())


def run(context: Context[EvaluateParams]) -> None:
    """Measure, then write numbers and pictures."""
    gates = context.params.gates
    # A gate that names no metric is found before the work, not after it.
    summary.verdicts(summary.summarise(summary.blank(), np.zeros(0, int), np.nan), gates)
    threads = cv2.getNumThreads()
    # The workers are the parallelism; OpenCV's own threads would compete with them.
    cv2.setNumThreads(1)
    keep_freed_memory()
    try:
        with ThreadPoolExecutor(1) as helper:
            metrics, pages = measure(context, helper)
    finally:
        cv2.setNumThreads(threads)
    verdicts = summary.verdicts(metrics, gates)
    if verdicts:
        passed = all(verdict["passed"] for verdict in verdicts.values())
        metrics |= {"gates": verdicts, "gates_passed": passed}
    write(context, metrics, pages)
    if not metrics["frames"]["with_face"]:
        swap = context.options["swap"]
        context.say(f"{swap}: no face was replaced; the metrics of faces are null")


def write(context: Context[EvaluateParams], metrics: Tree, pages: Pages) -> None:
    """All outputs."""
    from likeness.evaluation.report.page import Report, write_report
    from likeness.evaluation.report.sheet import contact_sheet

    swap, outputs, scorer = context.options["swap"], context.outputs, pages.scorer
    clip, columns = scorer.setting.clip, scorer.found.columns
    outputs["metrics"].write_text(to_json(metrics), encoding="utf-8")
    facts = {
        "swap": swap,
        "embedder": metrics["embedder"]["name"],
        "embedding_dim": metrics["embedder"]["dimension"],
        "frames": metrics["frames"]["total"],
        "frames_with_face": metrics["frames"]["with_face"],
        "frames_sampled": int((clip.measure == sampling.ALL).sum()),
    }
    write_per_frame(outputs["per_frame"], clip, columns, facts)
    write_curves(outputs["curves"], columns)
    sheet = contact_sheet(pages.album, swap)
    outputs["contact_sheet"].write_bytes(encode_jpeg(sheet, SHEET_QUALITY, "420"))
    about = context.facts["converted"] | {"params": context.params.model_dump()}
    sources = scorer.setting.source.result().turned(SOURCE_YAWS)
    report = Report(swap, about, metrics, columns, clip.shots, pages.album, pages.film, sources)
    write_report(outputs["html"], report, context.inputs, pages.ground)


STAGE = Stage(
    name="evaluate",
    params=EvaluateParams,
    inputs={
        "pack": None,
        "judge": None,
        "clip": None,
        "frames": FRAMES,
        "aligned": None,
        "source": None,
        "model": None,
        "baselines": BASELINES,
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
