"""Clips come and go: everything is checked before anything is written, and undone on failure."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ruamel.yaml import YAML

from flows.changes import OWNER, Change, documents
from flows.duplicates import same_footage
from flows.footage import copy, footage_name, look_at, named_after, shown, track
from flows.identities import enrol
from likeness.contracts.atomic import write_text
from likeness.contracts.catalog import (
    Clip,
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
from likeness.contracts.sections import refuse_identities
from likeness.media.intake import Intake

TEMPLATE = Path("tasks/clip.dvc.yaml")
PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class NewClip:
    """A clip that has passed every check and can be added.

    Attributes:
        source: the file or folder of stills it comes from.
        record: what clip.yaml will say.
        footage: what was found in it.
        new_identity: the identity has no folder in data/identities yet.
        same_as: clips that hold the same footage.
    """

    source: Path
    record: Clip
    footage: Intake
    new_identity: bool
    same_as: tuple[str, ...] = ()


def names(kind: str, root: Path) -> list[str]:
    """Names under `pools:`, `models:` or `swaps:`."""
    return list(load_yaml(root / PARAMS).get(kind) or {})


def check_new_clip(
    source: Path,
    root: Path,
    *,
    identity: str,
    role: str,
    consent: str = "",
    licence: str = "",
    clip: str = "",
) -> NewClip:
    """Check names, consent and footage of a clip before anything is written.

    Args:
        root: folder of the repository.
        identity: slug of the person.
        role: source or target.
        consent: name of the record; "" takes the one of a known identity.
        licence: licence of the footage; "" takes the basis that the consent record states.
        clip: name of the clip; "" makes one from the file's name, or else the person's.

    Raises:
        CatalogError, ConsentError, FootageError, ParamsError: the first thing that is wrong.
    """
    refuse_identities(root / PARAMS)
    require_slug("identity", identity)
    clip = require_slug("clip", clip or named_after(source, identity, root))
    if role not in get_args(Role):
        raise CatalogError("role", f"`{role}` is unknown", f"use {' or '.join(get_args(Role))}")
    known = identity in identity_names(root / "data")
    if not consent:
        if not known:
            step = "name its consent record with --consent (see docs/how-to/consent.md)"
            raise CatalogError(identity, "is a new identity without a consent record", step)
        consent = find_identity(identity, root / "data").consent
    require_slug("consent", consent)
    path = Path("data/consents") / f"{consent}.yaml"
    with contextlib.chdir(root):  # messages name the path as one writes it
        today = dt.datetime.now(tz=dt.UTC).date()
        record = require_consent(path, identity, role, today)  # type: ignore[arg-type]  # checked above
    require_free(clip, root)
    footage = look_at(source, role, root)
    document = Clip.model_validate(
        {
            "clip": clip,
            "identity": identity,
            "role": role,
            "consent": consent,
            "licence": licence or record.basis,
            "footage": footage_name(source),
        }
    )
    same = tuple(same_footage(source, footage.names, root / "data"))
    return NewClip(source, document, footage, new_identity=not known, same_as=same)


def check_new_take(clip: str, source: Path, root: Path) -> NewClip:
    """Check another take of a clip before anything is written.

    Raises:
        CatalogError, ConsentError, FootageError: the first thing that is wrong.
    """
    record = find_clip(clip, root)
    with contextlib.chdir(root):
        today = dt.datetime.now(tz=dt.UTC).date()
        consent = Path("data/consents") / f"{record.consent}.yaml"
        require_consent(consent, record.identity, record.role, today)
    footage = look_at(source, record.role, root)
    document = record.model_copy(update={"footage": footage_name(source)})
    same = tuple(same_footage(source, footage.names, root / "data"))
    return NewClip(source, document, footage, new_identity=False, same_as=same)


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


def copy_footage(new: NewClip, target: Path) -> None:
    """Copy the footage of a new clip or take to `target`."""
    copy(new.footage, target)


def add_clip(new: NewClip, root: Path, say: Callable[[str], object] = print) -> None:
    """Copy and track the footage, write the clip's documents and, if new, its identity.

    dvc.yaml comes last: until it stands there, DVC knows nothing of the clip. Any failure,
    Ctrl-C included, leaves the repository as it was; after SIGKILL the next command sees to it.

    Raises:
        CatalogError: somebody has added a clip of this name meanwhile.
        GraphError: DVC refused the footage.
    """
    folder = clip_folder(new.record.clip, root / "data")
    with Change(root, say) as change:
        with documents(root, say):
            require_free(new.record.clip, root)
            change.make_folder(folder)
        footage = folder / new.record.footage
        say(f"copying {shown(new.source)} to {footage.relative_to(root)}")
        copy_footage(new, footage)
        track(footage, root, say)
        with documents(root, say):
            enrol(change, new.record.identity, new.record.consent)
            write_text(folder / "clip.yaml", clip_text(new.record))
            write_text(folder / "dvc.yaml", (root / TEMPLATE).read_text(encoding="utf-8"))
            change.commit()
