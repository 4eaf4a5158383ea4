"""What can be known to be wrong before anything runs, said in one line with key and place.

DVC reads the same files, but fails with its own words, or not at all: a misspelt section of
params.yaml would simply not be used.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable
from pathlib import Path

from likeness.contracts.catalog import (
    DATA,
    Role,
    identity_names,
    list_clips,
    list_identities,
    require_consent,
    require_slug,
)
from likeness.contracts.checked import require_settings
from likeness.contracts.choices import choices
from likeness.contracts.documents import line_of, load_yaml
from likeness.contracts.errors import ParamsError
from likeness.contracts.families import family_names
from likeness.contracts.pools import FinetuneEntry, load_model, load_pool, model_names
from likeness.contracts.sections import SwapEntry, entry_names, load_entry, refuse_identities

PARAMS = Path("params.yaml")
CONSENTS = Path("data/consents")
ENTRIES = ("pools", "models", "finetuned", "swaps")


def known_sections() -> list[str]:
    """Sections that params.yaml may have: one per stage, and the entries."""
    stages = (path.stem for path in Path("tasks").glob("*.py") if not path.stem.startswith("_"))
    return sorted({*stages, *ENTRIES})


def _require(value: str, known: Iterable[str], location: tuple[str, ...], what: str) -> None:
    known = sorted(known)
    if value in known:
        return
    line = line_of(load_yaml(PARAMS), location)
    problem = f"`{'.'.join(location)}: {value}` names no {what}"
    raise ParamsError(f"{PARAMS}:{line}", problem, choices(value, known))


def check_sections() -> None:
    """Check that params.yaml has no section that nothing reads.

    Raises:
        ParamsError: key, line and the known sections.
    """
    refuse_identities(PARAMS)
    content = load_yaml(PARAMS)
    known = known_sections()
    for section in content:
        if section not in known and section != "identities":  # an empty one of old is nobody's
            line = line_of(content, (section,))
            problem = f"unknown section `{section}`"
            raise ParamsError(f"{PARAMS}:{line}", problem, choices(section, known))


def check_entries() -> None:
    """Check pools, models and swaps: keys, types, and that what they name exists.

    Raises:
        ParamsError: file, line, key and what is allowed.
    """
    for kind in ENTRIES:
        for name in entry_names(kind, PARAMS):
            require_slug(kind, str(name))
    identities = identity_names(DATA)
    pools = entry_names("pools", PARAMS)
    for name in pools:
        load_pool(name, identities, PARAMS)
    clips = [clip.clip for clip in list_clips()]
    families = family_names()
    for name in model_names(PARAMS):
        model = load_model(name, PARAMS)
        kind = "finetuned" if isinstance(model, FinetuneEntry) else "models"
        _require(model.family, families, (kind, name, "family"), "family")
        people = [*identities, *pools]
        _require(model.source, people, (kind, name, "source"), "identity or pool")
        _require(model.target, people, (kind, name, "target"), "identity or pool")
    for name in entry_names("swaps", PARAMS):
        swap = load_entry("swaps", name, SwapEntry, PARAMS)
        _require(swap.source, identities, ("swaps", name, "source"), "identity")
        _require(swap.target, clips, ("swaps", name, "target"), "clip")
        _require(swap.model, model_names(PARAMS), ("swaps", name, "model"), "model")


def check_consents() -> None:
    """Check that every identity and every clip has a consent record that allows it today.

    Raises:
        ConsentError, ParamsError: the record's path and what it lacks.
        ParamsError: a clip's identity that data/identities does not list.
    """
    today = dt.datetime.now(tz=dt.UTC).date()
    known = identity_names(DATA)
    for person in list_identities(DATA):
        require_consent(CONSENTS / f"{person.consent}.yaml", person.identity, today=today)
    for clip in list_clips():
        require_consent(CONSENTS / f"{clip.consent}.yaml", clip.identity, clip.role, today)
        if clip.identity not in known:
            subject = f"data/clips/{clip.clip}/clip.yaml"
            step = f"write data/identities/{clip.identity}/identity.yaml, then `likeness sync`"
            raise ParamsError(subject, f"there is no identity `{clip.identity}`", step)


def check_targets() -> None:
    """Check that whoever's footage a swap shows allows that, whatever role its clip has.

    Raises:
        ConsentError: the record that does not allow it.
    """
    clips = {clip.clip: clip for clip in list_clips()}
    mode = (load_yaml(PARAMS).get("blend") or {}).get("mode")
    for name in entry_names("swaps", PARAMS):
        swap = load_entry("swaps", name, SwapEntry, PARAMS)
        clip = clips[swap.target]
        if clip.role == "source":
            role: Role = "driver" if swap.blend.get("mode", mode) == "crop" else "target"
            require_consent(CONSENTS / f"{clip.consent}.yaml", clip.identity, role)


def check_repository(root: Path) -> None:
    """Run all checks; messages name paths relative to `root`.

    Raises:
        LikenessError: the first thing that is wrong.
    """
    with contextlib.chdir(root):
        check_sections()
        check_entries()
        check_consents()
        check_targets()
        require_settings(PARAMS)
