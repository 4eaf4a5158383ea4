"""What becomes of a clip: a better take of it, another name, another person, role or record."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML

from flows import catalog
from flows.catalog import PARAMS, clip_text, find_clip, names
from flows.changes import Change, Say, documents
from flows.footage import shown, track
from flows.graph import Graph
from flows.identities import enrol
from flows.removal import identity_paths, outputs, users
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
from likeness.contracts.errors import CatalogError
from likeness.contracts.sections import SwapEntry, load_entry


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


@dataclass(frozen=True)
class Assignment:
    """What a clip's document will say, and who is left without clips.

    Attributes:
        before, after: the document.
        orphan: identity that loses its last clip and goes with it; "" if there is none.
    """

    before: Clip
    after: Clip
    orphan: str


def check_assignment(
    clip: str, root: Path, identity: str = "", role: str = "", consent: str = ""
) -> Assignment:
    """Check another identity, role or consent record of a clip before anything is written.

    Args:
        identity, role, consent: "" keeps what is; a known identity brings its own record.

    Raises:
        CatalogError, ConsentError: what is not allowed, or what still needs the clip as it is.
    """
    before = find_clip(clip, root)
    identity, role = identity or before.identity, role or before.role
    require_slug("identity", identity)
    if role not in get_args(Role):
        raise CatalogError("role", f"`{role}` is unknown", f"use {' or '.join(get_args(Role))}")
    moves = identity != before.identity
    if not consent and moves:
        if identity not in identity_names(root / "data"):
            step = "name its consent record with --consent (see docs/how-to/consent.md)"
            raise CatalogError(identity, "is a new identity without a consent record", step)
        consent = find_identity(identity, root / "data").consent
    consent = require_slug("consent", consent or before.consent)
    with contextlib.chdir(root):  # messages name the path as one writes it
        today = dt.datetime.now(tz=dt.UTC).date()
        path = Path("data/consents") / f"{consent}.yaml"
        require_consent(path, identity, role, today)  # type: ignore[arg-type]  # checked above
    update = {"identity": identity, "role": role, "consent": consent}
    after = Clip.model_validate({**before.model_dump(), **update})
    if after == before:
        raise CatalogError(clip, "is all that already", "name another identity, role or consent")
    return Assignment(before, after, _orphan(before, root) if moves else "")


def _orphan(before: Clip, root: Path) -> str:
    clips = list_clips(root / "data")
    others = [c for c in clips if c.identity == before.identity and c.clip != before.clip]
    found = users(before.clip, "" if others else before.identity, root)
    if found:
        what = "as a target" if others else f"is the last clip of `{before.identity}`, which"
        problem = f"{what} is used by {', '.join(found)}"
        raise CatalogError(before.clip, problem, "change or remove those in params.yaml first")
    return "" if others else before.identity


def assign(wanted: Assignment, root: Path, say: Say = print) -> None:
    """Write what was checked; crops and embeddings as another person's go.

    Raises:
        CatalogError: the clip has changed since it was checked.
    """
    after = wanted.after
    with Change(root, say) as change, documents(root, say):
        if find_clip(after.clip, root) != wanted.before:
            raise CatalogError(after.clip, "has changed meanwhile", "run the same again")
        enrol(change, after.identity, after.consent)
        change.write(clip_folder(after.clip, root / "data") / "clip.yaml", clip_text(after))
        if after.identity != wanted.before.identity:
            for kind in ("crops", "galleries"):
                old = root / "data" / kind / wanted.before.identity
                change.put_aside(old / f"{after.clip}.parquet")
        for path in identity_paths(wanted.orphan, root) if wanted.orphan else ():
            change.put_aside(path)
        change.commit()


def check_rename(clip: str, name: str, root: Path) -> Clip:
    """Check that a clip can have another name.

    Raises:
        CatalogError: no such clip, no valid name, or one that is taken.
    """
    require_slug("clip", name)
    record = find_clip(clip, root)
    catalog.require_free(name, root)
    return record


def rename(clip: str, name: str, root: Path, say: Say = print) -> list[str]:
    """Give a clip another name, in its folder, its documents, and in the swaps that aim at it.

    Returns:
        Swaps whose target was renamed.

    Raises:
        CatalogError: no such clip, or the new name is taken.
    """
    with Change(root, say) as change, documents(root, say):
        record = check_rename(clip, name, root)
        old, new = clip_folder(clip, root / "data"), clip_folder(name, root / "data")
        change.make_folder(new)
        for path in sorted(old.glob("footage*")):
            change.move(path, new / path.name)
        write_text(new / "clip.yaml", clip_text(record.model_copy(update={"clip": name})))
        write_text(new / "dvc.yaml", (root / catalog.TEMPLATE).read_text(encoding="utf-8"))
        change.put_aside(old)
        for path in outputs(catalog.TEMPLATE, root, "clip", clip=clip, identity="*"):
            change.put_aside(path)
        swaps = [s for s in names("swaps", root) if _target(s, root) == clip]
        if swaps:
            text = (root / PARAMS).read_text(encoding="utf-8")
            change.write(root / PARAMS, retargeted(text, swaps, name))
        change.commit()
    return swaps


def _target(swap: str, root: Path) -> str:
    return load_entry("swaps", swap, SwapEntry, root / PARAMS).target


def retargeted(text: str, swaps: list[str], clip: str) -> str:
    """`text` of params.yaml with another target in some swaps; everything else stays as it is."""
    content: Any = YAML(typ="rt").load(text)  # which knows where each value stands
    lines = text.splitlines(keepends=True)
    for swap in swaps:
        entry = content["swaps"][swap]
        row, column = entry.lc.value("target")
        line, old = lines[row], str(entry["target"])
        at = line.index(old, column)  # past quotes, if any
        lines[row] = line[:at] + clip + line[at + len(old) :]
    return "".join(lines)


def replace(new: catalog.NewClip, root: Path, say: Say = print) -> None:
    """Put another take in the place of a clip's footage; name, person and role stay.

    The old take stays until DVC tracks the new one. DVC's cache keeps it beyond that.

    Raises:
        GraphError: DVC refused the footage.
    """
    folder = clip_folder(new.record.clip, root / "data")
    footage = folder / new.record.footage
    with Change(root, say) as change:
        take = change.spare()
        say(f"copying {shown(new.source)} to {footage.relative_to(root)}")
        catalog.copy_footage(new, take)
        with documents(root, say):
            find_clip(new.record.clip, root)
            for path in sorted(folder.glob("footage*")):
                change.put_aside(path)
            change.will_make(footage)
            take.rename(footage)
            change.will_make(footage.with_name(f"{footage.name}.dvc"))
            change.write(folder / "clip.yaml", clip_text(new.record))
        track(footage, root, say)
        change.commit()
