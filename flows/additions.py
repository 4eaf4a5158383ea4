"""Footage comes in, as a new clip or as a better take of one.

Everything is checked before anything is written, and undone on failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.changes import Change, Say, documents
from flows.clips import PARAMS, TEMPLATE, agreed, clip_text, find_clip, require_free
from flows.duplicates import same_footage
from flows.footage import copy, footage_name, look_at, named_after, shown, track
from flows.identities import enrol
from likeness.contracts.atomic import write_text
from likeness.contracts.catalog import Clip, clip_folder, identity_names, require_slug
from likeness.contracts.sections import refuse_identities
from likeness.media.intake import Intake


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
    record = agreed(identity, role, consent, root)
    require_free(clip, root)
    footage = look_at(source, role, root)
    document = Clip.model_validate(
        {
            "clip": clip,
            "identity": identity,
            "role": role,
            "consent": record.consent,
            "licence": licence or record.basis,
            "footage": footage_name(source),
        }
    )
    same = tuple(same_footage(source, footage.names, root / "data"))
    known = identity in identity_names(root / "data")
    return NewClip(source, document, footage, new_identity=not known, same_as=same)


def check_new_take(clip: str, source: Path, root: Path) -> NewClip:
    """Check another take of a clip before anything is written.

    Raises:
        CatalogError, ConsentError, FootageError: the first thing that is wrong.
    """
    record = find_clip(clip, root)
    agreed(record.identity, record.role, record.consent, root)
    footage = look_at(source, record.role, root)
    document = record.model_copy(update={"footage": footage_name(source)})
    same = tuple(same_footage(source, footage.names, root / "data"))
    return NewClip(source, document, footage, new_identity=False, same_as=same)


def add_clip(new: NewClip, root: Path, say: Say = print) -> None:
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
        copy(new.footage, footage)
        track(footage, root, say)
        with documents(root, say):
            enrol(change, new.record.identity, new.record.consent)
            write_text(folder / "clip.yaml", clip_text(new.record))
            write_text(folder / "dvc.yaml", (root / TEMPLATE).read_text(encoding="utf-8"))
            change.commit()


def replace(new: NewClip, root: Path, say: Say = print) -> None:
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
        copy(new.footage, take)
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
