"""The code that each stage runs, as `deps` in dvc.yaml, since DVC does not follow imports.

    python -m flows.closure            lists what is missing or superfluous
    python -m flows.closure --write    corrects dvc.yaml and both templates, and syncs their copies

Imports are read from the syntax tree, those inside functions included; blocks under
TYPE_CHECKING run never and do not count, packages whose `__init__` holds a docstring alone
neither. A data file counts where a module beside it names it in a string. Families are imported
by name at run time: `train` depends on its own family's folder through `${item.family}`, and on
the parts that families share (layers, losses), since DVC's lists cannot differ by model.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flows.removal import sync
from likeness.contracts.atomic import write_text
from likeness.contracts.documents import load_yaml
from likeness.contracts.families import FOLDER, MODULE, family_names

ROOMS = ("apps", "flows", "likeness", "models", "tasks")
FILES = (Path("dvc.yaml"), Path("tasks/clip.dvc.yaml"), Path("tasks/identity.dvc.yaml"))
FAMILY_DEP = "models/swappers/${item.family}"
STARTER = Path("tasks/__init__.py")
"""Chooses the interpreter before a stage is there: what it does reaches no output."""
_RESOURCES = {".toml", ".json", ".yaml", ".j2", ".html", ".css", ".js", ".svg", ".txt", ".csv"}


def _is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


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


def _file_of(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _names(node: ast.AST, package: list[str], root: Path) -> list[str]:
    """Modules that an import statement loads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = package[: len(package) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    below = [f"{base}.{alias.name}" for alias in node.names]
    return [name if _file_of(name, root) else base for name in below]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _is_inert(path: Path, constants: bool) -> bool:
    """Whether a module is a docstring and nothing else (`constants`: or names of literals)."""
    for node in _tree(path).body:
        allowed = (ast.Expr, ast.Assign) if constants else (ast.Expr,)
        if not isinstance(node, allowed) or not isinstance(node.value, ast.Constant):
            return False
    return True


def _files_of(name: str, root: Path) -> Iterator[Path]:
    """Files that importing `name` runs: its module, and parent packages that do something.

    `__version__` in a parent is nothing done: a release must not rebuild every swap.
    """
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        path = _file_of(".".join(parts[:length]), root)
        if path is None:
            continue
        if path == root / STARTER:
            continue
        package = path.name == "__init__.py"
        if not package or not _is_inert(path, constants=length < len(parts)):
            yield path


def _reads(path: Path, root: Path) -> tuple[set[Path], set[Path]]:
    """(modules imported, data files named) by one module."""
    package = list(path.relative_to(root).parent.parts)
    modules: set[Path] = set()
    data: set[Path] = set()
    for node in _runtime_nodes(_tree(path)):
        for name in _names(node, package, root):
            if name.partition(".")[0] in ROOMS:
                modules.update(_files_of(name, root))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            beside = path.parent / node.value if len(node.value) < 80 else path
            if beside.suffix in _RESOURCES and beside.is_file():
                data.add(beside)
    return modules, data


def closure(module: Path, root: Path) -> list[str]:
    """Files that running `module` may read as code, itself included; sorted, relative to root."""
    seen: set[Path] = set()
    data: set[Path] = set()
    waiting = [module]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        modules, files = _reads(path, root)
        data |= files
        waiting.extend(modules - seen)
    return sorted(p.relative_to(root).as_posix() for p in seen | data)


def family_parts(root: Path) -> list[str]:
    """What the families import from outside their own folders."""
    folders = [FOLDER / name for name in family_names(root)]
    found = {part for folder in folders for part in closure(root / folder / MODULE, root)}
    own = tuple(f"{folder.as_posix()}/" for folder in folders)
    return sorted(part for part in found if not part.startswith(own))


def wanted(stage: str, deps: Iterable[str], root: Path) -> list[str] | None:
    """Code `deps` of a stage; None if it has no module yet."""
    module = root / "tasks" / f"{stage}.py"
    if not module.is_file():
        return None
    found = set(closure(module, root))
    if FAMILY_DEP in deps:
        found |= set(family_parts(root))
    return sorted(found)


@dataclass(frozen=True)
class Difference:
    """What one stage's `deps` lack or have too much."""

    file: Path
    stage: str
    missing: tuple[str, ...]
    superfluous: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.file}: stage `{self.stage}`"]
        lines += [f"      + - {path}" for path in self.missing]
        lines += [f"      - - {path}" for path in self.superfluous]
        return "\n".join(lines)


def _is_code(dep: str, root: Path) -> bool:
    """Whether a line of `deps` is ours to write: a module, or a data file in a room of code."""
    in_room = dep.partition("/")[0] in ROOMS and "${" not in dep
    return in_room and (dep.endswith(".py") or not (root / dep).is_dir())


def _definition(content: Any, stage: str) -> Any:
    entry = content["stages"][stage]
    return entry.get("do", entry)


def differences(root: Path) -> list[Difference]:
    """Stages whose code `deps` are not what their module imports."""
    found = []
    for file in FILES:
        content = load_yaml(root / file)
        for stage in content.get("stages") or {}:
            deps = list(_definition(content, stage).get("deps") or [])
            code = wanted(stage, deps, root)
            if code is None:
                continue
            missing = tuple(path for path in code if path not in deps)
            stale = (d for d in deps if _is_code(d, root) and d not in code)
            more = tuple(d for d in stale if d.endswith(".py") or not (root / d).is_file())
            if missing or more:
                found.append(Difference(file, stage, missing, more))
    return found


def _write_stage(lines: list[str], content: Any, stage: str, root: Path) -> None:
    deps = _definition(content, stage).get("deps")
    code = wanted(stage, list(deps or []), root)
    if not deps or code is None:
        return
    rows = [deps.lc.item(i)[0] for i in range(len(deps))]
    indent = lines[rows[0]][: len(lines[rows[0]]) - len(lines[rows[0]].lstrip())]
    keep = [d for d in deps if _is_code(d, root) and not d.endswith(".py") and d not in code]
    fresh = [f"{indent}- {path}" for path in sorted({*code, *keep})]
    old = [row for row, dep in zip(rows, deps, strict=True) if _is_code(dep, root)]
    for row in reversed(old):
        del lines[row]
    at = rows[-1] + 1 - len(old)
    lines[at:at] = fresh


def write(root: Path) -> list[Path]:
    """Correct the files as text (comments and order of data stay) and sync the copies."""
    for file in FILES:
        text = (root / file).read_text(encoding="utf-8")
        for stage in load_yaml(root / file).get("stages") or {}:
            lines = text.splitlines()
            write_text(root / file, text)
            _write_stage(lines, load_yaml(root / file), stage, root)
            text = "\n".join(lines) + "\n"
        write_text(root / file, text)
    return sync(root)


def main() -> None:
    """List the differences, or write them away; exit 1 if any remain."""
    root = Path.cwd()
    if "--write" in sys.argv[1:]:
        for path in write(root):
            print(f"synced {path.relative_to(root)}")
    found = differences(root)
    for difference in found:
        print(difference)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
