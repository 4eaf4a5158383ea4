"""YAML as DVC reads it, with the line of each key; whatever a file holds, it is read or told.

libyaml reads the text, six times as fast as Python; the values are those of ruamel's safe loader
(YAML 1.2), which DVC uses. What neither of them answers with a line of its own (a day that does
not exist, a number of five thousand digits, a hundred thousand brackets) is answered here.
"""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, SequenceNode

from likeness.contracts.errors import ParamsError

MOST_DEPTH = 64
"""Levels of nesting that a document may have."""
MOST_VALUES = 1_000_000
"""Values of a document, those counted again that an alias repeats."""
KEPT = 64
"""Files whose content is kept as long as they do not change."""
_SUSPICIOUS = re.compile(r"(?:[-?:]\s+){100}")
_START = {"SequenceStartEvent", "MappingStartEvent"}
_END = {"SequenceEndEvent", "MappingEndEvent"}


class Marks:
    """Line and column (from 0) of each key of a mapping, or of each item of a list."""

    def __init__(self) -> None:
        self._places: dict[Any, tuple[int, int]] = {}

    def note(self, key: Any, mark: Any) -> None:
        """Remember where `key` stands."""
        self._places[key] = (mark.line, mark.column)

    def __deepcopy__(self, memo: dict[int, Any]) -> Marks:
        return self  # written while the file is read, never after

    def key(self, key: Any) -> tuple[int, int]:
        """Place of a key; KeyError if there is none."""
        return self._places[key]

    item = key


NOWHERE = Marks()
"""Of what stands in no file."""


class Mapped(dict[Any, Any]):
    """A mapping that remembers its lines (`lc`)."""

    lc: Marks = NOWHERE


class Listed(list[Any]):
    """A list that remembers its lines (`lc`)."""

    lc: Marks = NOWHERE


class _Builder:
    """Values out of the nodes of one document."""

    def __init__(self, path: Path, yaml: YAML) -> None:
        self.path, self._yaml = path, yaml
        self._made: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def build(self, node: Any, depth: int = 0) -> Any:
        """Value of a node; an alias gives the same object again."""
        if id(node) in self._made:
            return self._made[id(node)]
        if depth > MOST_DEPTH or id(node) in self._open:
            raise fault(self.path, node.start_mark, "is nested too deeply")
        self._open.add(id(node))
        made: Any
        if isinstance(node, MappingNode) and node.tag == "tag:yaml.org,2002:map":
            made, size = self._mapping(node, depth)
        elif isinstance(node, SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            made, size = self._sequence(node, depth)
        else:
            made, size = self._plain(node), 1
        if size > MOST_VALUES:
            raise fault(self.path, node.start_mark, "repeats itself too often")
        self._open.discard(id(node))
        self._made[id(node)], self._sizes[id(node)] = made, size
        return made

    def _plain(self, node: Any) -> Any:
        """A number, text, day or switch; collections of other kinds are none of ours."""
        if isinstance(node, MappingNode | SequenceNode):
            raise fault(self.path, node.start_mark, f"has a value of type {node.tag}")
        try:
            return self._yaml.constructor.construct_object(node)
        except YAMLError:
            raise
        except (ArithmeticError, ValueError, TypeError, KeyError, AttributeError):
            # A date or number in form, but none that exists.
            shown = str(node.value)[:40]
            problem = f"`{shown}` is no number or day that exists"
            raise fault(self.path, node.start_mark, problem) from None

    def _mapping(self, node: Any, depth: int) -> tuple[Mapped, int]:
        self._yaml.constructor.flatten_mapping(node)  # `<<: *defaults`
        made, size = Mapped(), 1
        made.lc = Marks()
        for key_node, value_node in node.value:
            key = self.build(key_node, depth + 1)
            if isinstance(key, Mapped | Listed):
                raise fault(self.path, key_node.start_mark, "has a key that is no text")
            if key in made and node.merge is None:
                raise fault(self.path, key_node.start_mark, f"has the key `{key}` twice")
            made[key] = self.build(value_node, depth + 1)
            made.lc.note(key, key_node.start_mark)
            size += self._sizes[id(key_node)] + self._sizes[id(value_node)]
        return made, size

    def _sequence(self, node: Any, depth: int) -> tuple[Listed, int]:
        made, size = Listed(), 1
        made.lc = Marks()
        for place, item in enumerate(node.value):
            made.append(self.build(item, depth + 1))
            made.lc.note(place, item.start_mark)
            size += self._sizes[id(item)]
        return made, size


def fault(path: Path, mark: Any, problem: str) -> ParamsError:
    """The error for one place in a file."""
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    return ParamsError(where, problem, "correct that line")


def _require_shallow(text: str, path: Path) -> None:
    """Refuse what libyaml would build by calling itself a hundred thousand times."""
    if text.count("[") + text.count("{") < 500 and not _SUSPICIOUS.search(text):
        return
    depth = 0
    for event in YAML(typ="safe").parse(text):
        name = type(event).__name__
        depth += (name in _START) - (name in _END)
        if depth > MOST_DEPTH:
            raise fault(path, event.start_mark, "is nested too deeply")


def parse(text: str, path: Path) -> Any:
    """Content of a YAML document: `Mapped`, `Listed` and plain values; None for an empty one.

    Args:
        text: of the file.
        path: to name in messages.

    Raises:
        ParamsError: with file, line and column of what is wrong.
    """
    yaml = YAML(typ="safe")
    try:
        _require_shallow(text, path)
        node = yaml.compose(text)
        return None if node is None else _Builder(path, yaml).build(node)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "no reason given"
        raise fault(path, mark, f"is not valid YAML ({said})") from None
    except (YAMLError, UnicodeEncodeError) as error:
        mark = _place(text, getattr(error, "position", getattr(error, "start", None)))
        said = getattr(error, "reason", None) or "unreadable"
        raise fault(path, mark, f"is not valid YAML ({said})") from None


class _Place:
    """A place in a text, like libyaml's marks."""

    def __init__(self, line: int, column: int) -> None:
        self.line, self.column = line, column


def _place(text: str, offset: int | None) -> _Place | None:
    if offset is None:
        return None
    before = text[:offset]
    return _Place(before.count("\n"), offset - (before.rfind("\n") + 1))


def read(path: Path) -> Any:
    """Content of a YAML file, the caller's own to change; parsed once per change of the file.

    Raises:
        ParamsError: missing, unreadable, no UTF-8 text, or as `parse`.
    """
    try:
        state = path.stat()
        key = (str(path.resolve()), state.st_mtime_ns, state.st_ctime_ns, state.st_size)
        return copy.deepcopy(_read(path, key))
    except FileNotFoundError:
        raise ParamsError(path, "does not exist", "create it or correct the path") from None
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start})"
        raise ParamsError(path, problem, "save it as UTF-8") from None
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise ParamsError(path, problem, "correct that") from None


@lru_cache(maxsize=KEPT)
def _read(path: Path, _key: tuple[object, ...]) -> Any:
    return parse(path.read_text(encoding="utf-8"), path)
