"""What every change of clips asks: which there are, what is free, who agreed, what will run."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
from pathlib import Path
from typing import get_args

from ruamel.yaml import YAML

from flows.changes import OWNER
from flows.graph import Graph
from likeness.contracts.catalog import (
    Clip,
    Consent,
    Role,
    clip_folder,
    find_identity,
    identity_names,
    list_clips,
    require_consent,
    require_slug,
)
from likeness.contracts.choices import choices
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import CatalogError

TEMPLATE = Path("tasks/clip.dvc.yaml")
PARAMS = Path("params.yaml")


def names(kind: str, root: Path) -> list[str]:
    """Names under `pools:`, `models:` or `swaps:`."""
    return list(load_yaml(root / PARAMS).get(kind) or {})


def find_clip(clip: str, root: Path) -> Clip:
    """Read one clip.

    Raises:
        CatalogError: no such clip; the known ones are listed.
    """
    clips = list_clips(root / "data")
    found = next((c for c in clips if c.clip == clip), None)
    if found is None:
        raise CatalogError(clip, "no such clip", choices(clip, (c.clip for c in clips)))
    return found


def require_free(clip: str, root: Path) -> None:
    """Check that no clip has this name.

    Raises:
        CatalogError: there is one, one is just being added, or files lie in its place.
    """
    folder = clip_folder(clip, root / "data")
    if (folder / "clip.yaml").exists():
        step = f"choose another name with --clip, or `likeness remove {clip}` first"
        raise CatalogError(clip, "is there already", step)
    if (folder / OWNER).is_file():
        step = "wait for its end, or choose another name with --clip"
        raise CatalogError(clip, "is just being added by another `likeness add`", step)
    if folder.is_dir() and any(folder.iterdir()):
        step = f"remove data/clips/{clip} by hand if nothing in it is needed"
        raise CatalogError(clip, f"data/clips/{clip} holds files but no clip.yaml", step)


def clip_text(record: Clip) -> str:
    """Text of clip.yaml, keys in the order of the model."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 10_000
    buffer = io.StringIO()
    yaml.dump({key: str(value) for key, value in record.model_dump().items()}, buffer)
    return buffer.getvalue()


def agreed(identity: str, role: str, consent: str, root: Path) -> Consent:
    """The record by which a clip may show a person in a role today.

    Args:
        identity: slug of the person.
        role: source, target or driver.
        consent: name of the record; "" takes the one of a known identity.

    Raises:
        CatalogError: no such role, or a new identity without a record.
        ConsentError: the record is missing, or does not allow it.
    """
    allowed = {str(known): known for known in get_args(Role)}
    if role not in allowed:
        raise CatalogError("role", f"`{role}` is unknown", f"use {' or '.join(allowed)}")
    if not consent:
        if identity not in identity_names(root / "data"):
            step = "name its consent record with --consent (see docs/how-to/consent.md)"
            raise CatalogError(identity, "is a new identity without a consent record", step)
        consent = find_identity(identity, root / "data").consent
    require_slug("consent", consent)
    with contextlib.chdir(root):  # messages name the path as one writes it
        today = dt.datetime.now(tz=dt.UTC).date()
        path = Path("data/consents") / f"{consent}.yaml"
        return require_consent(path, identity, allowed[role], today)


def stages_of(clip: str, graph: Graph) -> list[str]:
    """Addresses of a clip's own stages."""
    file = f"data/clips/{clip}/dvc.yaml"
    return [address for address, node in graph.nodes.items() if node.file == file]


def reached(clip: str, graph: Graph, *identities: str) -> list[str]:
    """Stages that run when a clip changes: its own, its people's, and all that follows."""
    homes = {f"data/identities/{name}/dvc.yaml" for name in identities}
    people = [address for address, node in graph.nodes.items() if node.file in homes]
    found = graph.below(*stages_of(clip, graph), *people)
    return [address for address in found if not graph.nodes[address].footage]
