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
from pathlib import Path

from likeness.contracts.families import FOLDER as FAMILIES
from likeness.contracts.families import MODULE, family_names

ROOMS = ("apps", "flows", "likeness", "models", "tasks")
FOLDER = Path("data/code")
"""Where stage `code` writes the lists: `<stage>.txt`, and `families/<family>.txt`."""
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


class Walker:
    """Follows imports from file to file; each file is read once.

    Args:
        root: folder of the repository.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trees: dict[Path, ast.Module] = {}
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
        modules: set[Path] = set()
        data: set[Path] = set()
        for node in _runtime_nodes(self._tree(path)):
            for name in self._names(node, package):
                if name.partition(".")[0] in ROOMS:
                    modules.update(self._files_of(name))
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if not node.value.endswith(RESOURCES) or len(node.value) > 80:
                    continue
                if (beside := path.parent / node.value).is_file():
                    data.add(beside)
        return modules, data

    def _tree(self, path: Path) -> ast.Module:
        """Its syntax tree; an empty one where it has none: whatever runs it fails by itself."""
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse(path.read_bytes(), str(path))
            except (SyntaxError, ValueError):
                self._trees[path] = ast.Module([], [])
        return self._trees[path]

    def _names(self, node: ast.AST, package: list[str]) -> list[str]:
        """Modules that an import statement loads."""
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        if base.partition(".")[0] not in ROOMS:
            return []
        below = [f"{base}.{alias.name}" for alias in node.names]
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
            package = path.name == "__init__.py"
            if not package or not self._is_inert(path, constants=length < len(parts)):
                yield path

    def _is_inert(self, path: Path, *, constants: bool) -> bool:
        """Whether a module is a docstring alone (`constants`: or names of literals)."""
        allowed = (ast.Expr, ast.Assign) if constants else (ast.Expr,)
        return all(
            isinstance(node, allowed) and isinstance(node.value, ast.Constant)
            for node in self._tree(path).body
        )


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


def parsed(text: str) -> dict[str, str]:
    """Path -> sha256 of a list."""
    return {
        path: digest for digest, _, path in (line.partition("  ") for line in text.splitlines())
    }


def still(texts: dict[str, str], root: Path) -> bool:
    """Whether every file is as the lists `texts` say, read again."""
    known = {path: digest for text in texts.values() for path, digest in parsed(text).items()}
    return all(
        (root / path).is_file() and hashlib.sha256((root / path).read_bytes()).hexdigest() == digest
        for path, digest in known.items()
    )
