"""People have folders of their own: data/identities/<identity>/, written and moved here.

Until 0.2 they stood under `identities:` in params.yaml, where two branches that each added
somebody met in one line. `likeness sync` moves such a file's people, and what DVC knows of their
stages, so that nothing is made anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.changes import Change
from likeness.contracts.atomic import write_text
from likeness.contracts.catalog import Identity, identity_folder, require_slug
from likeness.contracts.documents import load_yaml, validate
from likeness.contracts.errors import ParamsError

TEMPLATE = Path("tasks/identity.dvc.yaml")
PARAMS, LOCK = Path("params.yaml"), Path("dvc.lock")
SECTION = "identities"
STAGES = ("roster", "shard", "appearance")


def identity_text(identity: str, consent: str) -> str:
    """Text of identity.yaml."""
    return f"identity: {identity}\nconsent: {consent}\n"


def write_identity(identity: str, consent: str, root: Path) -> Path:
    """Write an identity's documents; dvc.yaml comes last, until then DVC knows nothing of it.

    Returns:
        Its folder.
    """
    folder = identity_folder(identity, root / "data")
    write_text(folder / "identity.yaml", identity_text(identity, consent))
    write_text(folder / "dvc.yaml", (root / TEMPLATE).read_text(encoding="utf-8"))
    return folder


def enrol(change: Change, identity: str, consent: str) -> None:
    """Write an identity's documents as steps of a change, unless it is enrolled already."""
    folder = identity_folder(identity, change.root / "data")
    if (folder / "identity.yaml").is_file():
        return
    change.make_folder(folder)
    write_identity(identity, consent, change.root)


def listed_in_params(root: Path) -> list[Identity]:
    """People that an old params.yaml lists.

    Raises:
        ParamsError, CatalogError: an entry that is not allowed.
    """
    entries = load_yaml(root / PARAMS).get(SECTION) or {}
    if not isinstance(entries, dict):
        raise ParamsError(PARAMS, f"`{SECTION}` is no mapping", "correct that first")
    found = []
    for name, entry in entries.items():
        require_slug("identity", str(name))
        content = {**(entry if isinstance(entry, dict) else {}), "identity": str(name)}
        person = validate(Identity, content, PARAMS, (SECTION, str(name)))
        require_slug("consent", person.consent)
        found.append(person)
    return found


def without_section(text: str, section: str) -> str:
    """`text` of a YAML file without a section at its top level, and without the gap after it."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(f"{section}:")), len(lines))
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " #"):
        if lines[end].startswith("#") and not lines[end - 1].strip():
            break  # a comment after a gap belongs to what follows
        end += 1
    return "\n".join([*lines[:start], *lines[end:]]) + "\n"


def _split_lock(people: list[Identity], root: Path) -> dict[Path, dict[str, Any]]:
    """Contents of lock files once each person's stages stand in their own; {} without a lock."""
    from dvc.utils.serialize import load_yaml as load_lock  # half a second, for this alone

    if not (root / LOCK).is_file():
        return {}
    content = load_lock(root / LOCK)
    stages, found = content.get("stages") or {}, {}
    for person in people:
        own = {s: stages.pop(f"{s}@{person.identity}", None) for s in STAGES}
        own = {name: entry for name, entry in own.items() if entry}
        if own:
            path = identity_folder(person.identity, root / "data") / LOCK
            found[path] = {"schema": content.get("schema", "2.0"), "stages": own}
    return {**found, root / LOCK: content}


def move_identities(root: Path) -> list[Path]:
    """Move an old params.yaml's people, and what DVC knows of their stages, to their folders.

    Returns:
        The folders; none where params.yaml has no such section.

    Raises:
        ParamsError, CatalogError: an entry that is not allowed; nothing has been written then.
    """
    if SECTION not in load_yaml(root / PARAMS):
        return []
    people = listed_in_params(root)
    from dvc.utils.serialize import dump_yaml

    locks = _split_lock(people, root)
    folders = [write_identity(person.identity, person.consent, root) for person in people]
    for path, content in locks.items():
        dump_yaml(path, content)
    text = (root / PARAMS).read_text(encoding="utf-8")
    write_text(root / PARAMS, without_section(text, SECTION))
    return folders
