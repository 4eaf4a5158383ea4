"""The files of a trained model: weights, settings, history, preview, a family's own pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.history import HISTORY
from likeness.media.images import encode_jpeg
from models import tensorfile
from models.swappers.registry import CONFIG, WEIGHTS
from models.training.checkpoint import Progress
from models.training.loop import Run
from models.training.plan import Job
from models.training.previews import draw_pictures, draw_preview

PREVIEW, HISTORY_FILE = "preview.jpg", "history.parquet"


def write_history(path: Path, progress: Progress, job: Job) -> None:
    """Write history.parquet."""
    rows = progress.history
    columns = {
        "images": np.array([row[0] for row in rows], np.int64),
        "phase": [row[1] for row in rows],
        "name": [row[2] for row in rows],
        "value": np.array([row[3] for row in rows], np.float64),
    }
    with Writer(HISTORY, path) as writer:
        writer.add(columns)
        writer.facts.update(
            model=job.model,
            family=job.family,
            images=progress.step * job.plan.step_images,
            batch_images=job.plan.batch_images,
        )


def pools_of(run: Run) -> dict[str, object]:
    """Who was trained on, by side, where that is a pool; nothing for models of two identities."""
    sides = zip(("source", "target"), run.crops, strict=True)
    pools = {side: [c.identity for c in people.sets] for side, people in sides if people.is_pool}
    return {"pools": pools} if pools else {}


def settings_of(run: Run) -> dict[str, object]:
    """Content of config.json."""
    job, swapper = run.job, run.swapper
    facts = run.crops[1].facts
    return {
        "family": job.family,
        "config": swapper.config.model_dump(mode="json"),
        "model": job.model,
        "source": run.crops[0].identity,
        "target": run.crops[1].identity,
        "images": run.images,
        "precision": job.plan.precision,
        "size_px": swapper.size_px,
        "coverage": swapper.coverage,
        "template": facts["template"],
        "crop_size_px": facts["size_px"],
        "parameters": sum(p.numel() for p in swapper.parameters()),
        "perceptual_networks": run.frozen,
        "train": job.plan.model_dump(mode="json") if run.phases else None,
        **pools_of(run),
        **job.facts,
    }


def write_results(run: Run) -> None:
    """Write everything into the job's `out`; the bytes depend on the training alone."""
    out = run.job.out
    tensorfile.write(out / WEIGHTS, run.swapper.state_dict())
    text = json.dumps(settings_of(run), indent=2, sort_keys=True, ensure_ascii=False)
    (out / CONFIG).write_text(text + "\n", encoding="utf-8")
    write_history(out / HISTORY_FILE, run.progress, run.job)
    picture = draw_preview(run.swapper, run.faces, run.device)
    (out / PREVIEW).write_bytes(encode_jpeg(picture, 92))
    for name, drawn in draw_pictures(run.swapper, run.faces, run.device).items():
        (out / f"{name}.jpg").write_bytes(encode_jpeg(drawn, 92))
