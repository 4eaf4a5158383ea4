"""Import closures: which files running a module may read as code.

DVC does not follow imports. Stage `code` writes one list per stage and per family with this walker,
`likeness status` takes the same lists in memory, and the fingerprint of a training is made of them.

Imports are read from the syntax tree, those inside functions included; blocks under TYPE_CHECKING
run never and do not count, packages whose `__init__` holds a docstring alone neither. A data file
counts where a module beside it names it in a string. Families are imported by name at run time: no
stage's list holds one, each has a list of its own.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import NamedTuple

from likeness.contracts.families import FOLDER as FAMILIES
from likeness.contracts.families import MODULE, family_names
from likeness.contracts.listed_code import parsed

ROOMS = ("apps", "flows", "likeness", "models", "tasks")
RESOURCES = (
    ".toml", ".json", ".yaml", ".j2", ".html", ".css", ".js", ".svg", ".txt", ".csv",
)  # fmt: skip
"""Kinds of data files that a module may read from beside itself."""
STARTER = Path("tasks/__init__.py")
"""Chooses the interpreter before a stage is there: what it does reaches no output."""


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node):
            for other in node.orelse:
                yield other
                yield from _runtime_nodes(other)
            continue
        yield node
        yield from _runtime_nodes(node)


def _is_type_checking(node: ast.If) -> bool:
    test = node.test
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


class Imported(NamedTuple):
    """An import statement: `from module import names`, or of modules (`module` is None)."""

    module: str | None
    level: int
    names: tuple[str, ...]


class Source(NamedTuple):
    """What the closure needs of a module.

    Attributes:
        imports: its import statements that run.
        named: its strings that could name a data file.
        inert: it holds a docstring alone.
        constants: it holds a docstring and names of literals alone.
    """

    imports: tuple[Imported, ...]
    named: tuple[str, ...]
    inert: bool
    constants: bool


def _imported(node: ast.Import | ast.ImportFrom) -> Imported:
    names = tuple(alias.name for alias in node.names)
    if isinstance(node, ast.Import):
        return Imported(None, 0, names)
    return Imported(node.module or "", node.level, names)


def _holds(body: list[ast.stmt], kinds: type[ast.stmt] | UnionType) -> bool:
    """Whether statements are of these kinds alone, each with a literal."""
    return all(
        isinstance(node, kinds) and isinstance(getattr(node, "value", None), ast.Constant)
        for node in body
    )


@lru_cache(maxsize=2048)
def _source(content: bytes) -> Source:
    """Of a file's content; nothing where it has no syntax: whatever runs it fails by itself.

    Kept, for a process that trains several models would parse the same code for each.
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return Source((), (), inert=True, constants=True)
    nodes = tuple(_runtime_nodes(tree))
    strings = (n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return Source(
        tuple(_imported(n) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)),
        tuple(text for text in strings if text.endswith(RESOURCES) and len(text) <= 80),
        inert=_holds(tree.body, ast.Expr),
        constants=_holds(tree.body, ast.Expr | ast.Assign),
    )


class Walker:
    """Follows imports from file to file; each file is read once.

    Args:
        root: folder of the repository.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sources: dict[Path, Source] = {}
        self._found: dict[str, Path | None] = {}
        self._known: dict[Path, tuple[set[Path], set[Path]]] = {}

    def closure(self, *modules: Path) -> list[str]:
        """Files that running `modules` may read as code, themselves included.

        Returns:
            Sorted paths, relative to the root.
        """
        seen: set[Path] = set()
        data: set[Path] = set()
        waiting = list(modules)
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            if path not in self._known:
                self._known[path] = self._reads(path)
            imported, named = self._known[path]
            data |= named
            waiting.extend(imported - seen)
        return sorted(p.relative_to(self.root).as_posix() for p in seen | data)

    def _reads(self, path: Path) -> tuple[set[Path], set[Path]]:
        """(modules imported, data files named) by one module."""
        package = list(path.relative_to(self.root).parent.parts)
        source = self._source(path)
        names = (name for given in source.imports for name in self._names(given, package))
        modules = {
            file
            for name in names
            if name.partition(".")[0] in ROOMS
            for file in self._files_of(name)
        }
        beside = (path.parent / name for name in source.named)
        return modules, {file for file in beside if file.is_file()}

    def _source(self, path: Path) -> Source:
        if path not in self._sources:
            self._sources[path] = _source(path.read_bytes())
        return self._sources[path]

    def _names(self, given: Imported, package: list[str]) -> list[str]:
        """Modules that an import statement loads."""
        if given.module is None:
            return list(given.names)
        above = package[: len(package) - given.level + 1] if given.level else []
        base = ".".join([*above, *([given.module] if given.module else [])])
        if base.partition(".")[0] not in ROOMS:
            return []
        below = [f"{base}.{name}" for name in given.names]
        return [name if self._file_of(name) else base for name in below]

    def _file_of(self, module: str) -> Path | None:
        if module not in self._found:
            base = self.root.joinpath(*module.split("."))
            tried = (base.with_suffix(".py"), base / "__init__.py")
            self._found[module] = next((path for path in tried if path.is_file()), None)
        return self._found[module]

    def _files_of(self, name: str) -> Iterator[Path]:
        """Files that importing `name` runs: its module, and parent packages that do something.

        `__version__` in a parent is nothing done: a release must not rebuild every swap.
        """
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            path = self._file_of(".".join(parts[:length]))
            if path is None or path == self.root / STARTER:
                continue
            source = self._source(path)
            inert = source.constants if length < len(parts) else source.inert
            if path.name != "__init__.py" or not inert:
                yield path


def stage_modules(root: Path) -> dict[str, Path]:
    """Stage -> its module."""
    return {path.stem: path for path in sorted((root / "tasks").glob("[a-z]*.py"))}


def family_module(family: str, root: Path) -> Path:
    """The module by which a family is entered."""
    return root / FAMILIES / family / MODULE


def closure(module: Path, root: Path) -> list[str]:
    """The import closure of one module (see `Walker.closure`)."""
    return Walker(root).closure(module)


class Digests(dict[str, str]):
    """Path -> sha256, each file read once.

    Args:
        root: folder of the repository.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def __missing__(self, file: str) -> str:
        self[file] = hashlib.sha256((self._root / file).read_bytes()).hexdigest()
        return self[file]

    def listed(self, files: Iterable[str]) -> str:
        """Lines `sha256  path`, as `sha256sum` writes them."""
        return "".join(f"{self[file]}  {file}\n" for file in files)


def lists(root: Path) -> dict[str, str]:
    """What stage `code` writes for the code as it is now: path below FOLDER -> text of the list."""
    walker, digests = Walker(root), Digests(root)
    stages = {f"{name}.txt": path for name, path in stage_modules(root).items()}
    families = {f"families/{n}.txt": family_module(n, root) for n in family_names(root)}
    every = {**stages, **families}
    return {name: digests.listed(walker.closure(path)) for name, path in every.items()}


def family_list(family: str, root: Path) -> str:
    """The list of one family as the code is now."""
    return Digests(root).listed(Walker(root).closure(family_module(family, root)))


def still(texts: dict[str, str], root: Path) -> bool:
    """Whether every file is as the lists `texts` say, read again."""
    known = {path: digest for text in texts.values() for path, digest in parsed(text).items()}
    return all(
        (root / path).is_file() and hashlib.sha256((root / path).read_bytes()).hexdigest() == digest
        for path, digest in known.items()
    )
