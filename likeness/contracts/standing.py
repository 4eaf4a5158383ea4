"""Whether a roster still stands: nothing that it is made from has changed, the day included.

Rosters always run, one for each person. What one says follows from the documents, the code and the
day (UTC) alone, so a run with all of them as they were has nothing to work out. That is found with
the standard library, before the imports that cost more than the stage.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

COMMAND = (
    "-m",
    "tasks.roster",
    "--identity",
    "data/identities/%identity%/identity.yaml",
    "--consent",
    "data/consents/%consent%.yaml",
    "--clips",
    "data/clips",
    "--roster",
    "data/rosters/%identity%.json",
)
"""As tasks/identity.dvc.yaml has it; started in any other way, a roster is worked out."""
READ = (
    "params.yaml",
    "data/identities/*/identity.yaml",
    "data/consents/*.yaml",
    "data/clips/*/clip.yaml",
)
"""Everything that a roster may be made from, that of other people too."""
CODE = Path(__file__).resolve().parents[2]
RUNS = ("likeness/contracts/*.py", "tasks/*.py")
_DVC = ("data/identities/", "/dvc.yaml:roster")


def identity_here() -> str:
    """Whose roster this process was started for by DVC; "" for every other process."""
    address = os.environ.get("DVC_STAGE", "")
    name = address.removeprefix(_DVC[0]).removesuffix(_DVC[1])
    if address != name.join(_DVC) or "/" in name or tuple(sys.orig_argv[1:]) != COMMAND:
        return ""
    return name


def state(identity: str) -> str:
    """Changes with the day, each document by content, and the code by size and time.

    "" if one of them cannot be read: then there is nothing to compare, and the stage says which.
    """
    try:
        return _state(identity)
    except OSError:
        return ""


def _state(identity: str) -> str:
    digest = hashlib.sha256()
    found = find_spec("pydantic")
    packages = Path(found.origin or "").parents[1].stat().st_mtime_ns if found else 0
    day = time.strftime("%Y-%m-%d", time.gmtime())
    digest.update(repr((identity, day, sys.version, str(CODE), packages)).encode())
    for pattern in READ:
        for path in sorted(Path().glob(pattern)):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(repr((str(path), content)).encode())
    for pattern in RUNS:
        for path in sorted(CODE.glob(pattern)):
            status = path.stat()
            digest.update(repr((path.name, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def _note(identity: str) -> Path:
    """Where it is noted; several projects may share a state folder."""
    name = hashlib.sha256(f"{Path.cwd()} {identity}".encode()).hexdigest()
    return Path(os.environ.get("LIKENESS_STATE", ".likeness")) / "rosters" / name


def note(identity: str, before: str, roster: str, said: str) -> None:
    """Note that `roster` (its text) follows from the state `before`, if that is still the state."""
    if not before or before != state(identity):
        return
    path = _note(identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    content = hashlib.sha256(roster.encode()).hexdigest()
    temporary.write_text(f"{before}\n{content}\n{said}\n", encoding="utf-8")
    temporary.replace(path)


def standing() -> str:
    """What to say of the roster that DVC asks for, if it stands as it is; "" to work it out."""
    identity = identity_here()
    if not identity:
        return ""
    try:
        before, content, said = _note(identity).read_text(encoding="utf-8").splitlines()
        written = Path(f"data/rosters/{identity}.json").read_bytes()
        if hashlib.sha256(written).hexdigest() != content or state(identity) != before:
            return ""
    except (OSError, ValueError):
        return ""
    return said
