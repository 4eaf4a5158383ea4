"""A clip is said to show somebody else, in another role, or by another consent record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.changes import Change, Say, documents
from flows.clips import agreed, clip_text, find_clip
from flows.identities import enrol
from flows.removal import identity_paths, require_unused
from likeness.contracts.catalog import Clip, clip_folder, require_slug
from likeness.contracts.errors import CatalogError


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
    moves = identity != before.identity
    record = agreed(identity, role, consent or ("" if moves else before.consent), root)
    update = {"identity": identity, "role": role, "consent": record.consent}
    after = Clip.model_validate({**before.model_dump(), **update})
    if after == before:
        raise CatalogError(clip, "is all that already", "name another identity, role or consent")
    return Assignment(before, after, require_unused(before, root) if moves else "")


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
