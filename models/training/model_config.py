"""config.json of a model: what it is, what it was made of, and how."""

from __future__ import annotations

import json

from likeness.contracts.params.train import LOOKS
from models.swappers.registry import CONFIG
from models.training.continuation import continues, trainings
from models.training.run import Run


def pools_of(run: Run) -> dict[str, object]:
    """Who was trained on, by side, where that is a pool; nothing for models of two identities."""
    sides = zip(("source", "target"), run.crops, strict=True)
    pools = {side: [c.identity for c in people.sets] for side, people in sides if people.is_pool}
    return {"pools": pools} if pools else {}


UNTOLD = {*LOOKS} - {"images", "keep"}
"""Keys of a plan whose change leaves a model, and so its config.json, as it was."""


def trained_by(run: Run) -> dict[str, object]:
    """The chain of trainings behind the weights, and what the last one went on from."""
    chain, init = run.progress.chain, run.job.init
    found: dict[str, object] = {
        "continues": continues(chain),
        "trainings": trainings(chain, run.images),
    }
    if init is None:
        return found
    first = json.loads((init / CONFIG).read_text(encoding="utf-8"))
    behind = first.get("trainings") or []
    if len(chain) == 1 and behind:
        found["continues"] = f"{behind[-1]['fingerprint']} at {first['images']} images"
    return {**found, "init": {"model": first.get("model"), "trainings": behind}}


def config_of(run: Run) -> dict[str, object]:
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
        "train": job.plan.model_dump(mode="json", exclude=UNTOLD) if run.phases else None,
        **(trained_by(run) if run.phases else {}),
        **pools_of(run),
        **job.facts,
    }
