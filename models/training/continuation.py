"""Continuation: a training goes on from the model's last one, whatever has changed, and says so.

The state of a model knows what has trained it: a chain of trainings, each with its fingerprint, the
images at which it began and the description that the fingerprint is the hash of. The same
fingerprint goes on as if nothing had happened, to the last bit. Another one is a link of its own:
`continues: <fingerprint> at <images> images` in config.json. To repeat a model is to repeat its
chain. Only where nothing fits is a model begun anew, and what there was is put aside, not removed.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from likeness.contracts.errors import ModelError
from models.swappers import registry
from models.swappers.abilities import optional_parts
from models.swappers.base import Swapper
from models.training import checkpoint
from models.training.checkpoint import Moment
from models.training.fingerprint import describe, fingerprint_of
from models.training.job import Job

Link = dict[str, Any]
"""One training of a chain: fingerprint, from_images, of (its description)."""


def say(job: Job, message: str) -> None:
    """One line for the person who watches."""
    print(f"{job.model}: {message}", file=sys.stderr, flush=True)


def described(job: Job) -> Job:
    """The job with its description, taken once."""
    return job if job.description else replace(job, description=describe(job))


def link_of(job: Job, images: int) -> Link:
    """The training that `job` describes, begun at so many images."""
    of = job.description or describe(job)
    return {"fingerprint": fingerprint_of(of), "from_images": images, "of": of}


def joined(chain: list[Link], link: Link) -> list[Link]:
    """The chain with `link` at its end; trainings that took no step are no part of it."""
    kept = [known for known in chain if known["from_images"] < link["from_images"]]
    if kept and kept[-1]["fingerprint"] == link["fingerprint"]:
        return kept
    return [*kept, link]


def continues(chain: list[Link]) -> str | None:
    """What a chain's last training went on from, "<fingerprint> at N images"; None: nothing."""
    if len(chain) < 2:
        return None
    return f"{chain[-2]['fingerprint']} at {chain[-1]['from_images']} images"


def trainings(chain: list[Link], images: int) -> list[dict[str, Any]]:
    """The chain for config.json: each training with the images between which it trained."""
    ends = [link["from_images"] for link in chain[1:]] + [images]
    return [{**link, "to_images": end} for link, end in zip(chain, ends, strict=True)]


def _gone(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """People who were learned from and are no longer among those of a side."""
    return sorted(set(before.get("pool", [])) - set(now.get("pool", [])))


def _shapes_apart(job: Job, weights: dict[str, Tensor]) -> str | None:
    """The first weight that does not fit the networks of `job`; None where all do."""
    with torch.device("meta"), registry.Unfilled():
        swapper: Swapper = registry.build(job.family, job.settings)
    optional = optional_parts(swapper)
    for name, parameter in swapper.named_parameters():
        stored = weights.get(name)
        if stored is None and not name.startswith(optional):
            return f"there was no {name}"
        if stored is not None and stored.shape != parameter.shape:
            return f"{name} was {tuple(stored.shape)} and is {tuple(parameter.shape)}"
    return None


def obstacle(job: Job, moment: Moment) -> str | None:
    """Why a training cannot go on from a checkpoint; None where it can."""
    chain, now = moment.progress.chain, job.description
    before = chain[-1]["of"]
    if before["family"] != job.family:
        return f"its family was {before['family']}"
    if job.plan.fresh and [link["fingerprint"] for link in chain] != [fingerprint_of(now)]:
        return "train.fresh"
    for side in ("source", "target"):
        people = (before[side].get("identity"), now[side].get("identity"))
        if people[0] != people[1]:
            return f"its {side} was {people[0]}"
        for link in chain:
            gone = _gone(link["of"][side], now[side])
            if gone:
                return f"{gone[0]} has left its {side}s"
    if before["init"] != now["init"]:
        return "the model that it began from has changed"
    return _shapes_apart(job, moment.weights)


def plan_continuation(job: Job) -> Job:
    """Look at what has trained the model so far, before anything trains it further; say what is.

    Call while nobody else has the state (`checkpoint.claim`). Gives the job, described.

    Raises:
        ModelError: a damaged checkpoint.
    """
    job, moment = described(job), checkpoint.newest(job.state)
    if moment is None:
        return job
    chain, images = moment.progress.chain, moment.progress.images
    if not chain:
        problem = "holds a training of an unknown kind"
        raise ModelError(job.state, problem, "remove the folder to train from the start")
    reason = obstacle(job, moment)
    if reason is not None:
        name = f"{chain[-1]['fingerprint'][:8]}-{images:09d}"
        aside = checkpoint.put_aside(job.state, name, job.plan.backups.latest)
        say(job, f"begins anew ({reason}); what had seen {images} images lies in {aside}")
        return job
    after = joined(chain, link_of(job, images))
    if after != chain:
        say(job, f"continues: {continues(after)}")
    if images >= job.plan.images and (after != chain or images > job.plan.images):
        left = f"the budget of {job.plan.images} images is used up ({images} seen)"
        say(job, f"{left}: nothing is trained; raise `train.images` to train on")
    return job
