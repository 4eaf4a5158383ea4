"""Clips come and go: everything is checked before anything is written, and undone on failure."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import itertools
import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ruamel.yaml import YAML

from flows.changes import OWNER, Change, Say, documents
from flows.duplicates import same_footage
from flows.identities import enrol
from flows.process import stream
from flows.run import dvc_command
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
from likeness.contracts.dvclock import is_refusal, patiently
from likeness.contracts.errors import CatalogError, GraphError
from likeness.contracts.params import refuse_identities
from likeness.media.intake import Intake, take_in

TEMPLATE = Path("tasks/clip.dvc.yaml")
PARAMS = Path("params.yaml")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


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


def default_clip_name(source: Path) -> str:
    """A slug made from the file's name, accents left out; "" where it has no letter or digit."""
    stem = unicodedata.normalize("NFKD", source.stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:63].strip("-")


def _named_after(source: Path, identity: str, root: Path) -> str:
    """The clip's name where none is given: that of the file, else the person's and a number."""
    if found := default_clip_name(source):
        return found
    stem, taken = f"{identity[:55]}-", {path.name for path in (root / "data/clips").glob("*")}
    return next(f"{stem}{n}" for n in itertools.count(1) if f"{stem}{n}" not in taken)


def _footage_name(source: Path) -> str:
    if source.is_dir():
        return "footage"
    suffix = source.suffix.lower()
    return f"footage{suffix if _SUFFIX.fullmatch(suffix) else ''}"


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
    clip = require_slug("clip", clip or _named_after(source, identity, root))
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
            "footage": _footage_name(source),
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
    document = record.model_copy(update={"footage": _footage_name(source)})
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


def look_at(source: Path, role: str, root: Path) -> Intake:
    """What is in the footage, by the project's settings for damage and sound.

    Raises:
        CatalogError, FootageError: it is not there, or cannot be used.
    """
    if not source.exists():
        raise CatalogError(source, "does not exist", "correct the path")
    params = load_yaml(root / PARAMS)
    damage = (params.get("frames") or {}).get("damage", "continue")
    sound = (params.get("blend") or {}).get("sound", "aac")
    return take_in(source, role, damage=damage, sound_codec=sound)


def _copy_file(source: Path, target: Path) -> None:
    """Copy; where the file system can share blocks, nothing is written twice."""
    with source.open("rb") as read, target.open("wb") as write:
        try:
            while os.copy_file_range(read.fileno(), write.fileno(), 1 << 30):
                pass
        except (AttributeError, OSError):  # not Linux, or across file systems on old kernels
            read.seek(0)
            write.seek(0)
            write.truncate()
            shutil.copyfileobj(read, write, 1 << 20)


def _copy(footage: Intake, target: Path) -> None:
    source = footage.source
    if not source.is_dir():
        _copy_file(source, target)
        return
    target.mkdir()
    for name in footage.names:
        _copy_file(source / name, target / name)


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
    _copy(new.footage, target)


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


def shown(path: Path) -> str:
    """A path as it can be printed, whatever bytes its name holds."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def track(footage: Path, root: Path, say: Say = print) -> None:
    """Let DVC track a clip's footage; beside another run, wait for it and say so.

    Raises:
        GraphError: DVC refused it.
    """
    target = str(footage.relative_to(root))

    def attempt() -> str:
        said: list[str] = []
        code = stream(dvc_command("add", target), said.append, folder=root)
        why = next((t.removeprefix("ERROR: ") for t in said if t.startswith("ERROR: ")), "")
        if code and not is_refusal(why):
            why = why or f"exit code {code}"
            raise GraphError(target, f"dvc add failed ({why})", "correct that")
        return why if code else ""

    patiently(attempt, root, say)
