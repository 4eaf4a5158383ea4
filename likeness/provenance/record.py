"""provenance.json: what a published video was made from, by what, and who agreed."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import likeness
from likeness.contracts.catalog import DATA, Clip, Consent, Role, load_clip, require_consent
from likeness.contracts.documents import read_json, sha256_of
from likeness.contracts.errors import GraphError
from likeness.provenance.lineage import Lineage
from likeness.provenance.ran import Ran

CODE = (
    "likeness",
    "models",
    "tasks",
    "flows",
    "apps",
    "dvc.yaml",
    "params.yaml",
    "requirements.lock",
)
"""What decides on the result; other changed files (outputs' hashes, notes) do not count."""


@dataclass(frozen=True)
class Use:
    """One person's face in one role.

    Attributes:
        identity: whose face.
        role: what it is used as.
        record: path of the consent record.
    """

    identity: str
    role: Role
    record: Path


def _git(root: Path, *arguments: str) -> str | None:
    """Output of git in `root`; None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def code_version(root: Path) -> dict[str, Any]:
    """Version, commit, and the files of `CODE` that differ from it."""
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=normal", "--", *CODE)
    changed = None if changes is None else sorted(line[3:] for line in changes.splitlines())
    return {
        "likeness": likeness.__version__,
        "commit": commit.strip() if commit else None,
        "changed_since_commit": changed,
        "dirty": bool(changed) if changed is not None else None,
    }


def clips_behind(stages: Iterable[Ran], root: Path) -> list[Clip]:
    """The clips whose clip.yaml any of `stages` read, by name.

    Raises:
        CatalogError, ParamsError: a clip that is gone or says something else now.
    """
    paths = {dep.path for stage in stages for dep in stage.deps if _is_clip_yaml(dep.path)}
    return [load_clip(root / path) for path in sorted(paths)]


def _is_clip_yaml(path: str) -> bool:
    return path.startswith(f"{DATA}/clips/") and path.endswith("/clip.yaml")


def uses_of(clips: Iterable[Clip], root: Path) -> list[Use]:
    """Who is in `clips`, as what, by which record."""
    found = {
        (clip.identity, clip.role, root / DATA / "consents" / f"{clip.consent}.yaml")
        for clip in clips
    }
    return [Use(*entry) for entry in sorted(found)]


def check_uses(uses: Iterable[Use], today: dt.date) -> list[dict[str, Any]]:
    """The consents of `uses`, each valid today for its role, for provenance.json.

    Raises:
        ConsentError: a record that is missing, revoked, expired or does not allow the role.
    """
    found: dict[tuple[str, Path], list[str]] = {}
    for use in uses:
        require_consent(use.record, use.identity, use.role, today)
        found.setdefault((use.identity, use.record), []).append(use.role)
    return [
        _consent_entry(require_consent(record, identity), record, roles)
        for (identity, record), roles in sorted(found.items())
    ]


def _consent_entry(consent: Consent, record: Path, roles: list[str]) -> dict[str, Any]:
    # The document itself may name its signer: its hash stands for it.
    return {
        "identity": consent.identity,
        "record": consent.consent,
        "record_sha256": sha256_of(record),
        "used_as": sorted(roles),
        "allowed_roles": list(consent.roles),
        "basis": consent.basis,
        "use": consent.use,
        "training": consent.training,
        "granted": str(consent.granted) if consent.granted else None,
        "expires": str(consent.expires) if consent.expires else None,
        "document_sha256": consent.document_sha256,
    }


def footage_entries(clips: Iterable[Clip], stages: list[Ran]) -> list[dict[str, Any]]:
    """Footage of `clips` with its hash as the stages read it, and its licence."""
    read = {dep.path: dep for stage in stages if stage.name == "frames" for dep in stage.deps}
    entries = []
    for clip in clips:
        folder = f"{DATA}/clips/{clip.clip}/"
        files = [d for p, d in read.items() if p.startswith(folder) and not _is_clip_yaml(p)]
        entries.append(
            {
                "clip": clip.clip,
                "identity": clip.identity,
                "role": clip.role,
                "licence": clip.licence,
                "files": [file.as_dict() for file in files],
            }
        )
    return entries


def weights_entries(stages: Iterable[Ran], root: Path) -> dict[str, Any]:
    """Analyser packs (files, sources, licences, sha256) and models behind a result."""
    packs, models = [], []
    for stage in stages:
        for out in stage.outs:
            folder = root / out.path
            if stage.name == "pack" and (folder / "pack.json").is_file():
                packs.append(read_json(folder / "pack.json"))
            if stage.name in {"train", "finetune"}:
                config = read_json(folder / "config.json")
                weights = folder / "model.safetensors"
                sha256 = sha256_of(weights) if weights.is_file() else None
                models.append({"model": folder.name, "sha256": sha256, **config})
    return {"analysers": packs, "models": models}


def require_fresh(lineage: Lineage, stages: list[Ran]) -> None:
    """Check that every stage read what now stands in its inputs' place.

    Raises:
        GraphError: something upstream was made anew since; names both.
    """
    stale = lineage.stale(stages)
    if stale:
        first = stale[0]
        raise GraphError(
            first.address, f"was made from an earlier {first.path}", "run `dvc repro` first"
        )
