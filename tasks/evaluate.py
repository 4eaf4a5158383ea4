"""Stage `evaluate`: what a swap is worth, in numbers and pictures.

In: the analyser pack, the judge (a second embedder), the target clip with frames.parquet and
aligned.json, the shards of the source identity, the model's folder, converted.parquet and
render.mp4. Out: metrics.json, per_frame.parquet, curves.csv, contact_sheet.jpg and a report.html
that needs no other file.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import Field, model_validator

from likeness.contracts.catalog import DATA, below, footage_path
from likeness.contracts.documents import Document, read_json, sha256_of, to_json
from likeness.contracts.errors import FootageError, ParamsError, TableError
from likeness.contracts.params import load_section, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.frames import FRAMES
from likeness.contracts.tables.per_frame import PER_FRAME
from likeness.media.footage import Footage, open_footage
from likeness.media.images import encode_jpeg
from likeness.metrics import sampling, summary
from likeness.metrics.baselines import Reference, Transfer
from likeness.metrics.clip import Clip, face_rows, plan
from likeness.metrics.face import FaceRow
from likeness.metrics.gallery import read_source
from likeness.metrics.parts import Tree
from likeness.metrics.report.album import Album
from likeness.metrics.report.film import Film, Reel
from likeness.metrics.stream import Scorer, ordered
from likeness.metrics.tables import write_curves, write_per_frame
from models.analysers.judge import Judge, load_judge
from tasks.blend import BlendParams

EVEN_FACES = 9
"""Evenly spaced faces on the contact sheet."""
SHEET_QUALITY = 88
FILM_WAITING = 8
"""Frames that may wait for the film."""
TRANSFER_FAMILY = "mesh_transfer"
PAGE = ("likeness.metrics.report.page", "likeness.metrics.report.sheet", "jinja2")


class EvaluateParams(Document):
    """`evaluate:` of params.yaml."""

    max_frames: int = Field(
        default=52, ge=3, description="frames whose face is embedded, evenly spaced; a third whole"
    )
    judge_frames: int = Field(
        default=6, ge=1, le=1000, description="frames that the second embedder sees"
    )
    baseline_frames: int = Field(
        default=12, ge=3, le=300, description="in runs of three: baselines made and measured there"
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
        default=90, ge=0, le=2000, description="from the first face on, as a film in the report"
    )
    gates: dict[str, str] | tuple[str, ...] = Field(
        default={}, description='bounds on metrics.json: {identity_cosine.source: ">= 0.35"}'
    )

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, content: Any) -> Any:
        if isinstance(content, dict) and "embedder" in content:
            problem = "is no longer a parameter: a stage of its own gives the second embedder"
            raise ParamsError("evaluate.embedder", problem, "set `judge: {embedder: faceplugin}`")
        return content


def reference_for(
    context: Context[EvaluateParams], footage: Footage, crops: Path, clip: Clip
) -> tuple[Reference, dict[str, Any]]:
    """How baselines are made, and what to say about them."""
    overrides = swap_overrides("blend")(context.options, context.params_file)
    blend = load_section("blend", BlendParams, context.params_file, overrides)
    facts: dict[str, Any] = {"runs": len(clip.runs), "crf": blend.crf, "preset": blend.preset}
    transfer: Transfer | None = None
    if context.facts["converted"]["family"] == TRANSFER_FAMILY:
        facts["mesh_transfer"] = "this swap is mesh_transfer itself"
    elif len(clip.runs):
        from tasks._transfer import MeshTransfer  # torch takes seconds to import

        wanted = {int(m) + step for m in clip.runs for step in sampling.RUN}
        transfer = MeshTransfer(context.inputs["source"], crops, footage, blend, wanted)
        facts["mesh_transfer"] = "default settings, fitted to the same source"
    return Reference(footage, blend.crf, blend.preset, transfer), facts


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
    context: Context[EvaluateParams],
    videos: tuple[Footage, Footage],
    rows: Iterable[list[FaceRow]],
    scorer: Scorer,
) -> tuple[int, Reel]:
    """Go through both videos together; returns how many frames cannot be decoded, and the film.

    Raises:
        FootageError: the render has another number of frames than the target.
    """
    target, render = videos
    unread, clip = 0, scorer.clip
    film = Film(target, int((clip.faces > 0).argmax()), context.params.film_frames)
    with (
        context.progress("frames", len(clip.shots)) as advance,
        ThreadPoolExecutor(1) as projector,
    ):
        for module in PAGE:  # read beside the networks, not after them
            projector.submit(importlib.import_module, module)
        shown: deque[Future[None]] = deque()
        for before, after, faces in zip_longest(target.frames(), render.frames(), rows):
            if before is None or after is None or faces is None:
                problem = f"has another number of frames than {target.path}"
                raise FootageError(render.path, problem, "run `dvc repro`")
            if before.decoded and after.decoded:
                scorer.frame(before, after, faces)
                shown.append(projector.submit(film.frame, before, after))
                if len(shown) > FILM_WAITING:
                    shown.popleft().result()
            else:
                unread += 1
            advance(1)
        for frame in shown:
            frame.result()
    scorer.finish()
    return unread, film.finish()


def summary_of(scorer: Scorer, judge: Judge, unread: int) -> Tree:
    """metrics.json without verdicts and without what is said of baselines."""
    clip, columns, gallery = scorer.clip, scorer.columns, dict(scorer.source.result().facts)
    itself = [float(gallery.pop(name)) for name in ("source_itself", "second_itself")]
    features = {prefix: ordered(vectors) for prefix, vectors in scorer.features.items()}
    metrics = summary.summarise(columns, clip.shots, itself[0], itself[1], features)
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


def videos_of(context: Context[EvaluateParams]) -> tuple[Footage, Footage]:
    """Target and render."""
    target = footage_path(context.inputs["clip"])
    return open_footage(target), open_footage(context.inputs["render"])


def load_networks(context: Context[EvaluateParams]) -> Judge:
    """The pack and the judge, which must be no network that trained the model.

    Raises:
        WeightsError: see models.analysers.judge.
    """
    config = context.inputs["model"] / "config.json"
    used = read_json(config).get("perceptual_networks", []) if config.is_file() else []
    return load_judge(context.inputs["pack"], context.inputs["judge"], tuple(used))


def run(context: Context[EvaluateParams]) -> None:
    """Measure, then write numbers and pictures."""
    params, inputs, swap = context.params, context.inputs, context.options["swap"]
    # A gate that names no metric is found before the work, not after it.
    summary.verdicts(summary.summarise(summary.blank(), np.zeros(0, int), np.nan), params.gates)
    judge, crops = load_networks(context), crops_of(inputs["aligned"])
    threads = cv2.getNumThreads()
    # The workers are the parallelism; OpenCV's own threads would compete with them.
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(1) as reader:  # the gallery is read while frames are
            shown = (params.gallery_faces, params.judge_frames)
            source = reader.submit(read_source, inputs["source"], judge, *shown)
            frames = (params.max_frames, params.judge_frames, params.baseline_frames)
            clip = plan(inputs["frames"], inputs["converted"], *frames)
            album, videos = album_for(clip, params), videos_of(context)
            canonical, _ = judge.pack.canonical_mesh()
            reference, made = reference_for(context, videos[0], crops, clip)
            scorer = Scorer(clip, judge, canonical, source, reference, params.margin_px, album)
            rows = face_rows(crops, inputs["converted"], clip)
            unread, film = score(context, videos, rows, scorer)
    finally:
        cv2.setNumThreads(threads)
    metrics = summary_of(scorer, judge, unread) | {"baselines": made}
    gates = summary.verdicts(metrics, params.gates)
    if gates:
        metrics |= {"gates": gates, "gates_passed": all(g["passed"] for g in gates.values())}
    write(context, scorer, metrics, album, film)
    if not metrics["frames"]["with_face"]:
        context.say(f"{swap}: no face was replaced; the metrics of faces are null")


def write(
    context: Context[EvaluateParams], scorer: Scorer, metrics: Tree, album: Album, film: Reel
) -> None:
    """All outputs."""
    from likeness.metrics.report.page import Report, write_report
    from likeness.metrics.report.sheet import contact_sheet

    swap, outputs, clip = context.options["swap"], context.outputs, scorer.clip
    outputs["metrics"].write_text(to_json(metrics), encoding="utf-8")
    facts = {
        "swap": swap,
        "embedder": metrics["embedder"]["name"],
        "embedding_dim": metrics["embedder"]["dimension"],
        "frames": metrics["frames"]["total"],
        "frames_with_face": metrics["frames"]["with_face"],
        "frames_sampled": int((clip.measure == sampling.ALL).sum()),
    }
    write_per_frame(outputs["per_frame"], clip, scorer.columns, facts)
    write_curves(outputs["curves"], scorer.columns)
    sheet = contact_sheet(album, swap)
    outputs["contact_sheet"].write_bytes(encode_jpeg(sheet, SHEET_QUALITY, "420"))
    about = context.facts["converted"] | {"params": context.params.model_dump()}
    report = Report(swap, about, metrics, scorer.columns, clip.shots, album, film)
    write_report(outputs["html"], report, context.inputs)


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
