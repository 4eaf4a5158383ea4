"""What decides a model's weights, and its short name: the fingerprint of a training.

What only looks, keeps or announces (previews, logs, validation, snapshots, backups) is no part of
it, nor is the budget of a family that does not pace itself by it: a longer one goes on. The
description stands in config.json, so that anybody can take its hash again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from likeness.contracts import environment
from likeness.contracts.params.train import LOOKS
from models.swappers import registry
from models.swappers.abilities import Equips
from models.training.code import ROOT, code_behind
from models.training.crops import read_manifest
from models.training.identities import folders_of, read_pool
from models.training.job import Job

LENGTH = 32
"""Hexadecimal digits of a fingerprint."""


def hash_of(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of_all(paths: Iterable[Path], root: Path | None = None) -> str:
    """sha256 over names (below `root`, if given) and contents of files, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        name = path.relative_to(root).as_posix() if root else path.name
        digest.update(f"{name} {hash_of(path)}\n".encode())
    return digest.hexdigest()


def _people(side: Path) -> dict[str, Any]:
    """Who is behind a side, their footage, and the crops that are learned from."""
    folders, pool = folders_of(side), read_pool(side)
    crops = [path for folder in folders for path in sorted(folder.glob("train-*.parquet"))]
    manifests = {folder.name: read_manifest(folder) for folder in folders}
    who = pool["pool"] if pool else manifests[side.name].get("identity", side.name)
    footage = {
        clip: facts.get("footage_sha256")
        for manifest in manifests.values()
        for clip, facts in manifest.get("clips", {}).items()
    }
    found = {"identity": who, "crops": hash_of_all(crops, side.parent), "footage": footage}
    return {**found, "pool": sorted(manifests)} if pool else found


def _networks(job: Job) -> dict[str, str]:
    """The frozen networks that the family's losses look at."""
    if not issubclass(registry.load_class(job.family), Equips):
        return {}
    found = {}
    if job.recogniser:
        found["recogniser"] = hash_of_all(sorted(job.recogniser.glob("*.safetensors")))
    if job.perceptual:
        found["perceptual"] = hash_of_all(sorted(job.perceptual.iterdir()))
    return found


def describe(job: Job) -> dict[str, Any]:
    """Everything that decides the weights, for JSON."""
    paced = registry.load_class(job.family).paced
    plan = job.plan.model_dump(mode="json", exclude=set(LOOKS) - ({"images"} if paced else set()))
    # Only networks through torch.compile split their sums among threads (models/crew.py).
    threads = {"threads": environment.threads()} if job.plan.compile else {}
    init = job.init / registry.WEIGHTS if job.init else None
    return {
        "family": job.family,
        "settings": job.settings,
        "train": plan,
        "source": _people(job.source),
        "target": _people(job.target),
        "init": hash_of(init) if init else None,
        "networks": _networks(job),
        "code": hash_of_all(code_behind(job.family), ROOT),
        "torch": torch.__version__,
        **threads,
    }


def fingerprint_of(description: dict[str, Any]) -> str:
    """Hex digest of a description."""
    text = json.dumps(description, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def fingerprint(job: Job) -> str:
    """The fingerprint of a training as its settings, data and code are now."""
    return fingerprint_of(job.description or describe(job))
