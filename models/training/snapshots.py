"""Models of a training in progress, kept by rule: every so many images, and the best so far.

A snapshot is a whole model folder (model.safetensors, config.json, preview.jpg) below the run's
state folder, so that whatever reads models reads it. It appears whole or not at all; the best one
goes only after the better one stands. They outlive the training, as previews do.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from likeness.contracts.atomic import atomic_path
from likeness.contracts.errors import ModelError
from likeness.media.images import encode_jpeg
from models import tensorfile
from models.swappers import registry
from models.training.model_config import config_of
from models.training.previews import draw_preview
from models.training.run import Run

PHASE, NAME = "validation", "identity"
"""Under which the history knows the validation."""
GONE = ".gone-"
"""Begins the name of a snapshot that is being removed."""


def folder_of(state: Path, kind: str, images: int) -> Path:
    """Where a snapshot lies; `kind` is "best" or "images"."""
    return state / "snapshots" / f"{kind}-{images:09d}"


def write_model(folder: Path, run: Run, facts: dict[str, int] | None = None) -> None:
    """Write weights, settings and preview of the networks as they are into a folder.

    Args:
        facts: further entries of config.json.
    """
    tensorfile.write(folder / registry.WEIGHTS, run.swapper.state_dict())
    content = config_of(run) | (facts or {})
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / registry.CONFIG).write_text(text + "\n", encoding="utf-8")
    picture = draw_preview(run.swapper, run.faces, run.device)
    (folder / "preview.jpg").write_bytes(encode_jpeg(picture, 92))


def _keep(run: Run, kind: str) -> None:
    final = folder_of(run.job.state, kind, run.images)
    if final.is_dir():
        _remove(final)  # of a training that came by here before, not always by the same way
    with atomic_path(final) as folder:
        folder.mkdir()
        write_model(folder, run)


def _remove(snapshot: Path) -> None:
    """Take a snapshot away: whoever looks meanwhile sees all of it, or nothing."""
    for left in snapshot.parent.glob(f"{GONE}*"):
        shutil.rmtree(left)  # of a process that was killed here
    gone = snapshot.with_name(f"{GONE}{snapshot.name}")
    snapshot.rename(gone)
    shutil.rmtree(gone)


def _thin(run: Run) -> None:
    """Remove the older ones of those that are kept every so many images, where a rule says so.

    A run that went on from an earlier checkpoint may find later ones than its own: these count as
    the newest, and it comes by them again.
    """
    latest = run.job.plan.snapshots.latest
    if latest is not None:
        found = sorted(folder_of(run.job.state, "images", 0).parent.glob("images-*"))
        for older in found[:-latest]:
            _remove(older)


def best_of(run: Run) -> tuple[int, float] | None:
    """Images and value of the best validation so far, the first one of equals."""
    values = [
        (v, i) for i, phase, name, v in run.progress.history if (phase, name) == (PHASE, NAME)
    ]
    if not values:
        return None
    value, images = max(values, key=lambda pair: (pair[0], -pair[1]))
    return images, value


def keep_snapshots(run: Run) -> None:
    """Keep the networks as they are, if a rule of the plan says so; drop a best one that is beaten.

    Call after the validation of this moment stands in the history.
    """
    plan, best = run.job.plan, best_of(run)
    every = plan.snapshots.every_images
    if every is not None and run.passed(every):
        _keep(run, "images")
        _thin(run)
    if plan.wants_best and best is not None and best[0] == run.images:
        _keep(run, "best")
        final = folder_of(run.job.state, "best", run.images)
        for older in sorted(final.parent.glob("best-*")):
            # A run that went on from an earlier checkpoint comes by the later ones again.
            if older != final:
                _remove(older)


def take_best(run: Run) -> int:
    """Give the networks the weights of the best snapshot; returns its images.

    Raises:
        ModelError: there is none, for want of validation crops or because somebody removed it.
    """
    best = best_of(run)
    if best is None:
        step = "add footage, so that `shard` has seconds to hold back, or set `train.keep: last`"
        raise ModelError(run.job.model, "was never validated: no crops in the val split", step)
    path = folder_of(run.job.state, "best", best[0]) / registry.WEIGHTS
    registry.restore(run.swapper, tensorfile.read(path), path)
    return best[0]
