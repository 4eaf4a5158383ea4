"""Footage comes into the repository: looked at, named, copied, tracked by DVC."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import unicodedata
from pathlib import Path

from flows.changes import Say
from flows.process import stream
from flows.run import dvc_command
from likeness.contracts.documents import load_yaml
from likeness.contracts.dvclock import is_refusal, patiently
from likeness.contracts.errors import CatalogError, GraphError
from likeness.media.intake import Intake, take_in

PARAMS = Path("params.yaml")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


def default_clip_name(source: Path) -> str:
    """A slug made from the file's name, accents left out; "" where it has no letter or digit."""
    stem = unicodedata.normalize("NFKD", source.stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:63].strip("-")


def named_after(source: Path, identity: str, root: Path) -> str:
    """The clip's name where none is given: that of the file, else the person's and a number."""
    if found := default_clip_name(source):
        return found
    stem, taken = f"{identity[:55]}-", {path.name for path in (root / "data/clips").glob("*")}
    return next(f"{stem}{n}" for n in itertools.count(1) if f"{stem}{n}" not in taken)


def footage_name(source: Path) -> str:
    """What the footage is called in its clip's folder: `footage` and the suffix."""
    if source.is_dir():
        return "footage"
    suffix = source.suffix.lower()
    return f"footage{suffix if _SUFFIX.fullmatch(suffix) else ''}"


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


def copy_file(source: Path, target: Path) -> None:
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


def copy(footage: Intake, target: Path) -> None:
    """Copy a film, or the stills that were found to be of use, to `target`."""
    source = footage.source
    if not source.is_dir():
        copy_file(source, target)
        return
    target.mkdir()
    for name in footage.names:
        copy_file(source / name, target / name)


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
