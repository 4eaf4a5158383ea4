"""YAML and JSON documents: validated, with the line of what is wrong, and written byte-stable."""

from __future__ import annotations

import difflib
import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from likeness.contracts.atomic import write_text
from likeness.contracts.errors import LikenessError, ParamsError
from likeness.contracts.strict import Section
from likeness.contracts.yamltext import read


class Document(Section):
    """Base of everything else read from YAML: frozen, and unknown keys are errors."""


D = TypeVar("D", bound=BaseModel)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; the result remembers line numbers.

    Raises:
        ParamsError: the file is missing, is not YAML, or is not a mapping.
    """
    content = read(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParamsError(path, "holds no mapping", "write `key: value` lines")
    return cast("dict[str, Any]", content)


def line_of(content: object, location: tuple[int | str, ...]) -> int:
    """Line (from 1) of the key at `location`, or of its nearest known parent; 0 if unknown."""
    line = 0
    node = content
    for key in location:
        marks = getattr(node, "lc", None)
        if marks is None:
            break
        try:
            at = marks.key(key) if isinstance(node, dict) else marks.item(key)
            line = at[0] + 1
            node = node[key]  # type: ignore[index]  # ruamel nodes are dicts or lists at run time
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line


def _allowed(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys allowed at the level where the last part of `location` stands."""
    current: type[BaseModel] | None = model
    for key in location[:-1]:
        field = current.model_fields.get(str(key)) if current else None
        kind = field.annotation if field else None
        current = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return sorted(current.model_fields) if current else []


def _explain(
    error: Any, model: type[BaseModel], content: object, path: Path, prefix: tuple[str, ...]
) -> ParamsError:
    location = tuple(error["loc"])
    key = ".".join([*prefix, *map(str, location)])
    line = line_of(content, location)
    subject = f"{path}:{line}" if line else str(path)
    if error["type"] == "extra_forbidden":
        allowed = _allowed(model, location)
        close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean `{close[0]}`? " if close else ""
        return ParamsError(subject, f"unknown key `{key}`", f"{hint}allowed: {', '.join(allowed)}")
    if error["type"] == "missing":
        return ParamsError(subject, f"key `{key}` is missing", f"add `{location[-1]}:`")
    message = error["msg"][0].lower() + error["msg"][1:]
    given = shown(error.get("input"))
    if isinstance(error.get("input"), str) and given[:1].isdigit():
        given = f'"{given}"'  # a text that looks like a number
    return ParamsError(subject, f"`{key}: {given}` is not allowed", message)


def shown(given: object) -> str:
    """A value as YAML writes it, short enough for a message, whatever it is."""
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    try:
        text = str(given)
    except ValueError:  # a number of thousands of digits
        text = type(given).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."


def validate(
    model: type[D], content: dict[str, Any], path: Path, prefix: tuple[str, ...] = ()
) -> D:
    """Validate `content` (from `load_yaml`) against `model`.

    Raises:
        ParamsError: names file, line, key and the allowed values of the first thing wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt key is both unknown and missing: the unknown one says what to correct.
        found = error.errors()
        first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        raise _explain(first, model, content, path, prefix) from None


def load_document(model: type[D], path: Path) -> D:
    """Read and validate a whole YAML file."""
    return validate(model, load_yaml(path), path)


def to_json(content: object) -> str:
    """JSON text that depends on the content alone: sorted keys, fixed layout, final newline."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path, content: object) -> None:
    """Write `content` as byte-stable JSON, atomically."""
    write_text(path, to_json(content))


def read_json(path: Path) -> Any:
    """Read a JSON document written by a stage.

    Raises:
        LikenessError: missing or not JSON, with the next step.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LikenessError(path, "does not exist", "run `dvc repro`") from None
    except ValueError as error:
        raise LikenessError(path, f"is not JSON ({error})", "run `dvc repro` again") from None


def sha256_of(path: Path) -> str:
    """sha256 of a file, or of the sorted names and hashes of the files in a folder, as hex."""
    if path.is_dir():
        parts = [
            f"{p.relative_to(path)}:{sha256_of(p)}" for p in sorted(path.rglob("*")) if p.is_file()
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
