"""config.json of a model: what it is, what it was made of, and how."""

from __future__ import annotations

from models.training.run import Run


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
