"""The files of a trained model: weights, moments, settings, history, pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.history import HISTORY
from likeness.media.images import encode_jpeg
from models import tensorfile
from models.training.checkpoint import Progress
from models.training.job import Job
from models.training.previews import draw_pictures
from models.training.run import MOMENTS, Run
from models.training.snapshots import take_best, write_model

HISTORY_FILE = "history.parquet"


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
            images=progress.images,
            batch_images=job.plan.batch_images,
        )


def write_results(run: Run) -> None:
    """Write everything into the job's `out`; the bytes depend on the training alone.

    Raises:
        ModelError: the best model is wanted and there is none.
    """
    out, best = run.job.out, bool(run.phases) and run.job.plan.keep == "best"
    with run.shown():
        kept = {"kept_images": take_best(run)} if best else {}
        write_model(out, run, kept)
        if run.phases and run.job.plan.moments:
            tensorfile.write(out / MOMENTS, run.moments())
        for name, drawn in draw_pictures(run.swapper, run.faces, run.device).items():
            (out / f"{name}.jpg").write_bytes(encode_jpeg(drawn, 92))
    write_history(out / HISTORY_FILE, run.progress, run.job)
