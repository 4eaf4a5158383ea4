"""Clips, identities and consent records: who is in the footage, and who agreed to what."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from pathlib import Path
from typing import Literal

from pydantic import Field

from likeness.contracts.choices import choices
from likeness.contracts.documents import Document, load_document, read_json
from likeness.contracts.errors import CatalogError, ConsentError

Role = Literal["source", "target", "driver"]
"""Whose face is shown, whose footage it is shown in, whose motion alone is."""
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
FOOTAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
"""A bare file name; `add` itself writes `footage` and the suffix."""
DATA = Path("data")


class Reference(Document):
    """A still that shows the person alone, listed in the consent record."""

    file: str = Field(description="path below data/consents/")
    sha256: str


class Consent(Document):
    """data/consents/<consent>.yaml: what one person allowed."""

    consent: str = Field(description="name of this record, equal to the file's")
    identity: str = Field(description="slug of the person")
    roles: tuple[Role, ...] = Field(description="what their face may be used as")
    basis: str = Field(min_length=1, description="document or licence that grants it")
    use: str = Field(min_length=1, description="what for, reasonably specific")
    training: bool = Field(description="whether models may be trained on it")
    granted: dt.date | None = Field(
        default=None, description="day of signature; a licence has none"
    )
    expires: dt.date | None = None
    revoked: dt.date | None = None
    document_sha256: str | None = Field(default=None, description="hash of the signed document")
    references: tuple[Reference, ...] = ()


class Identity(Document):
    """data/identities/<identity>/identity.yaml: a person, and the record that allows the use."""

    identity: str
    consent: str = Field(description="name of the record: data/consents/<consent>.yaml")


class Clip(Document):
    """data/clips/<clip>/clip.yaml: one piece of footage and who is in it."""

    clip: str
    identity: str
    role: Role
    consent: str
    licence: str = Field(min_length=1, description="licence of the footage")
    footage: str = Field(default="", description="file or folder name; found if left out")


def slug(value: str, kind: str) -> str:
    """`value` as a slug: small letters, no accents, '-' for the rest, or an example."""
    plain = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")
    return made or {"identity": "ann", "consent": "ann-2026", "clip": "take-3"}.get(kind, "ann-ben")


def require_slug(kind: str, value: str) -> str:
    """Return `value` if it is a slug (a-z, 0-9, -; at most 63), so that no path can leave data/.

    Raises:
        CatalogError: with an example of what is allowed.
    """
    if not SLUG.fullmatch(value):
        problem = f"`{value}` is no valid {kind} name"
        raise CatalogError(
            kind, problem, f"use a-z, 0-9 and '-', for example `{slug(value, kind)}`"
        )
    return value


def below(root: Path, relative: str) -> Path:
    """Path `relative` inside `root`.

    Raises:
        CatalogError: the path would leave `root` (absolute, `..`, or a link that points out).
    """
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise CatalogError(relative, f"leaves {root}", "give a path below it")
    return root / relative


def identity_folder(identity: str, data: Path = DATA) -> Path:
    """Folder of an identity's documents."""
    return data / "identities" / require_slug("identity", identity)


def load_identity(path: Path) -> Identity:
    """Read an identity.yaml and check that it stands in the folder of its own name.

    Raises:
        CatalogError, ParamsError: what is wrong, with the line.
    """
    identity = load_document(Identity, path)
    require_slug("identity", identity.identity)
    require_slug("consent", identity.consent)
    if path.parent.name != identity.identity:
        problem = f"says identity `{identity.identity}`"
        raise CatalogError(path, problem, f"rename the folder {path.parent}")
    return identity


def list_identities(data: Path = DATA) -> list[Identity]:
    """All identities, by name."""
    return [load_identity(path) for path in sorted(data.glob("identities/*/identity.yaml"))]


def identity_names(data: Path = DATA) -> list[str]:
    """Names of all identities, sorted."""
    return [identity.identity for identity in list_identities(data)]


def find_identity(identity: str, data: Path = DATA) -> Identity:
    """Read one identity.

    Raises:
        CatalogError: there is no such identity; the known ones are listed.
        ParamsError: a document that is not allowed.
    """
    path = identity_folder(identity, data) / "identity.yaml"
    if not path.is_file():
        known = choices(identity, identity_names(data))
        raise CatalogError(path, f"there is no identity `{identity}`", known)
    return load_identity(path)


def read_people(path: Path) -> list[str]:
    """Names of all identities, out of what stage `people` wrote."""
    return [str(name) for name in read_json(path)["identities"]]


def clip_folder(clip: str, data: Path = DATA) -> Path:
    """Folder of a clip."""
    return data / "clips" / require_slug("clip", clip)


def require_bare(path: Path, footage: str) -> str:
    """Return `footage` if it is the name of something in the clip's own folder.

    Raises:
        CatalogError: a path, or a name that is none of ours.
    """
    if not FOOTAGE.fullmatch(footage):
        problem = f"`footage: {footage!r}` is no file name in the clip's folder"
        raise CatalogError(path, problem, "put the footage there and name it, e.g. `footage.mp4`")
    return footage


def load_clip(path: Path) -> Clip:
    """Read a clip.yaml and check that it stands in the folder of its own name.

    Raises:
        CatalogError, ParamsError: what is wrong, with the line.
    """
    clip = load_document(Clip, path)
    require_slug("clip", clip.clip)
    require_slug("identity", clip.identity)
    require_slug("consent", clip.consent)
    if clip.footage:
        require_bare(path, clip.footage)
    if path.parent.name != clip.clip:
        raise CatalogError(path, f"says clip `{clip.clip}`", f"rename the folder {path.parent}")
    return clip


def list_clips(data: Path = DATA) -> list[Clip]:
    """All clips, by name."""
    return [load_clip(path) for path in sorted(data.glob("clips/*/clip.yaml"))]


def footage_path(clip_yaml: Path) -> Path:
    """The footage of the clip: the file or folder that clip.yaml names, else `footage*`.

    Raises:
        CatalogError: there is none, or more than one.
    """
    named = load_clip(clip_yaml).footage
    if named:
        return below(clip_yaml.parent, named)
    found = [p for p in sorted(clip_yaml.parent.glob("footage*")) if p.suffix != ".dvc"]
    if len(found) != 1:
        raise CatalogError(
            clip_yaml.parent, f"holds {len(found)} footage files", "name one in clip.yaml"
        )
    return found[0]


def load_consent(path: Path, identity: str) -> Consent:
    """Read a consent record and check that it is about `identity`.

    Raises:
        ConsentError: no record, or one about somebody else.
        ParamsError: a record that lacks a key, with the key.
    """
    if not path.is_file():
        step = f"write it (see docs/how-to/consent.md) before using `{identity}`"
        raise ConsentError(path, f"no consent record for `{identity}`", step)
    consent = load_document(Consent, path)
    if consent.identity != identity:
        raise ConsentError(
            path, f"is about `{consent.identity}`, not `{identity}`", "name the right record"
        )
    if consent.consent != path.stem:
        raise ConsentError(
            path, f"says consent `{consent.consent}`", "give file and record one name"
        )
    return consent


def require_consent(
    path: Path, identity: str, role: Role | None = None, today: dt.date | None = None
) -> Consent:
    """Read a consent record and check that it allows this use.

    Args:
        role: what the face is used as; None asks for any. Who allows `target` allows `driver`,
            which shows less of them.
        today: day on which it must be valid; None leaves the dates alone, so that a stage's
            output does not depend on the clock (`roster`, which always runs, gives the day).

    Raises:
        ConsentError: missing, revoked, expired, or not for this role.
    """
    consent = load_consent(path, identity)
    included = role == "driver" and "target" in consent.roles
    if role is not None and role not in consent.roles and not included:
        allowed = ", ".join(consent.roles) or "nothing"
        raise ConsentError(path, f"allows {allowed}, not `{role}`", "ask the person for that use")
    if consent.revoked is not None:
        raise ConsentError(
            path, f"was revoked on {consent.revoked}", f"remove the clips of `{identity}`"
        )
    if today is not None and consent.expires is not None and consent.expires < today:
        raise ConsentError(
            path, f"expired on {consent.expires}", f"renew it or remove `{identity}`"
        )
    return consent
