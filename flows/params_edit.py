"""Entries of `identities:` in params.yaml, added and removed as text.

Writing the whole file anew would move comments about; here every other line stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from likeness.contracts.atomic import write_text
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import ParamsError

SECTION = "identities"


def _content(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(text) or {})


def _header(lines: list[str]) -> int:
    """Index of the line `identities:`, or -1."""
    return next((i for i, line in enumerate(lines) if line.startswith(f"{SECTION}:")), -1)


def _end(lines: list[str], start: int, indent: int) -> int:
    """Index after the last line that is indented by at least `indent`, from `start` on."""
    end = start
    for index in range(start, len(lines)):
        line = lines[index]
        depth = len(line) - len(line.lstrip())
        if line.strip() and (depth < indent):
            break
        if line.strip() and not line.lstrip().startswith("#"):
            end = index + 1
    return end


def insert_identity(text: str, identity: str, consent: str) -> str:
    """`text` of params.yaml with `identities.<identity>: {consent: <consent>}` at the end of it."""
    lines = text.splitlines()
    header = _header(lines)
    entry = [f"  {identity}:", f"    consent: {consent}"]
    if header < 0:
        lines += ["", f"{SECTION}:", *entry]
    else:
        if not _content(text).get(SECTION):
            lines[header] = f"{SECTION}:"  # was `identities: {}`
        at = max(_end(lines, header + 1, 1), header + 1)
        lines[at:at] = entry
    return "\n".join(lines) + "\n"


def delete_identity(text: str, identity: str) -> str:
    """`text` of params.yaml without `identities.<identity>`; its own comments go with it."""
    lines = text.splitlines()
    header = _header(lines)
    for index in range(header + 1, len(lines)):
        if lines[index].strip().partition(":")[0] == identity and lines[index].startswith("  "):
            depth = len(lines[index]) - len(lines[index].lstrip())
            del lines[index : max(_end(lines, index + 1, depth + 1), index + 1)]
            break
    result = "\n".join(lines) + "\n"
    if not _content(result).get(SECTION):
        lines[header] = f"{SECTION}: {{}}"  # `foreach` wants a mapping, even an empty one
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str, wanted: dict[str, Any]) -> None:
    """Write `text` if it says exactly `wanted`.

    Raises:
        ParamsError: the file is laid out in a way that a text edit does not reach.
    """
    try:
        good = _content(text) == wanted
    except YAMLError:
        good = False
    if not good:
        step = f"write `{SECTION}:` as a block, one entry per line"
        raise ParamsError(path, f"cannot edit the section `{SECTION}`", step)
    write_text(path, text)


def add_identity(path: Path, identity: str, consent: str) -> None:
    """Add an identity to params.yaml; everything else stays byte for byte."""
    load_yaml(path)  # says with the line what is wrong, if anything is
    text = path.read_text(encoding="utf-8")
    wanted = _content(text)
    wanted[SECTION] = {**(wanted.get(SECTION) or {}), identity: {"consent": consent}}
    _write(path, insert_identity(text, identity, consent), wanted)


def remove_identity(path: Path, identity: str) -> None:
    """Remove an identity from params.yaml; everything else stays byte for byte."""
    text = path.read_text(encoding="utf-8")
    wanted = _content(text)
    wanted[SECTION] = {k: v for k, v in (wanted.get(SECTION) or {}).items() if k != identity}
    _write(path, delete_identity(text, identity), wanted)
