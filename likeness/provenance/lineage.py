"""Where a file came from: the stages behind it, as DVC's lock files recorded them.

Reads dvc.lock at the root and beside every clip and identity; does not import dvc, runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from likeness.contracts.documents import read_json
from likeness.contracts.errors import GraphError

HOMES, MANIFESTS, POOL = ("data/clips", "data/identities"), "data/manifests", "pool@"

SHELF = 3


@dataclass(frozen=True)
class Artefact:
    """A file or folder as a stage saw it.

    Attributes:
        path: relative to the repository.
        md5: DVC's hash; that of a folder ends with ".dir". Empty where DVC recorded none.
        size_bytes: as recorded, or None.
    """

    path: str
    md5: str
    size_bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"path": self.path, "md5": self.md5, "size_bytes": self.size_bytes}


@dataclass(frozen=True)
class Ran:
    """A stage as it last ran.

    Attributes:
        address: as DVC names it: "data/clips/ann/dvc.yaml:align" or "train@ann-on-ben".
        command: what was run.
        params: parameter file -> key -> value.
        deps, outs: what it read and wrote.
        used: the files below its folders that made a difference, where it is known that the
            others did not; None if all of `deps` count.
    """

    address: str
    command: str
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    deps: tuple[Artefact, ...] = ()
    outs: tuple[Artefact, ...] = ()
    used: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the stage without its file and key: "align", "train"."""
        return self.address.rpartition(":")[2].partition("@")[0]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "address": self.address,
            "command": self.command,
            "params": self.params,
            "deps": [dep.as_dict() for dep in self.deps],
            "outs": [out.as_dict() for out in self.outs],
        }


@dataclass(frozen=True)
class Stale:
    """A dependency that has been written anew since a stage read it."""

    address: str
    path: str
    read_md5: str
    written_md5: str


def _load(path: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (YAMLError, UnicodeDecodeError):
        raise GraphError(path, "is not valid YAML", "delete it and run `dvc repro`") from None
    return content if isinstance(content, dict) else {}


def _normal(folder: PurePosixPath, relative: str) -> str:
    """`relative` to `folder`, relative to the repository, without "..": "a/b/../c" -> "a/c"."""
    parts: list[str] = []
    for part in (folder / relative).parts:
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return "/".join(parts)


def _artefacts(folder: PurePosixPath, entries: Iterable[dict[str, Any]]) -> tuple[Artefact, ...]:
    return tuple(
        Artefact(_normal(folder, entry["path"]), str(entry.get("md5") or ""), entry.get("size"))
        for entry in entries
    )


def _stages(root: Path, folder: PurePosixPath) -> Iterator[Ran]:
    """Stages of the dvc.lock in `folder`; its paths are relative to each stage's wdir."""
    lock = _load(root / folder / "dvc.lock")
    declared = _load(root / folder / "dvc.yaml").get("stages") or {}
    for name, entry in sorted((lock.get("stages") or {}).items()):
        stage = declared.get(name.partition("@")[0]) or {}
        wdir = (stage.get("do") or stage).get("wdir") or "."
        where = PurePosixPath(_normal(folder, str(wdir)))
        own = "" if folder == PurePosixPath(".") else f"{folder}/dvc.yaml:"
        params = {_normal(where, f): values for f, values in (entry.get("params") or {}).items()}
        outs = _artefacts(where, entry.get("outs") or ())
        yield Ran(
            f"{own}{name}",
            str(entry.get("cmd", "")),
            params,
            _artefacts(where, entry.get("deps") or ()),
            outs,
            _trained_on(root, outs) if name.startswith(POOL) else None,
        )


def _trained_on(root: Path, outs: tuple[Artefact, ...]) -> tuple[str, ...] | None:
    """Manifests of the members of a pool that models learn from.

    Stage `pool` looks at everybody's, but whoever it holds or leaves out is in nobody's lineage.
    """
    for out in outs:
        path = root / out.path / "pool.json"
        if path.is_file():
            members = read_json(path)["members"]
            return tuple(f"{MANIFESTS}/{m['identity']}.json" for m in members if not m["held_out"])
    return None


def _related(one: str, other: str) -> bool:
    """True if the paths are equal or one lies below the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


class Lineage:
    """All stages that ran, and who wrote what.

    Attributes:
        stages: address -> stage.
    """

    def __init__(self, stages: Iterable[Ran]) -> None:
        self.stages = {stage.address: stage for stage in stages}
        # Only paths that share their first SHELF parts ("data/crops/ann") can be related, which
        # keeps the search short in a repository of many clips.
        self._writers: dict[tuple[str, ...], list[tuple[str, Artefact]]] = {}
        for address, stage in self.stages.items():
            for out in stage.outs:
                self._writers.setdefault(self._shelf(out.path), []).append((address, out))

    @staticmethod
    def _shelf(path: str) -> tuple[str, ...]:
        return tuple(path.split("/")[:SHELF])

    def writers(self, path: str) -> list[tuple[str, Artefact]]:
        """Stages that wrote `path`, something below it, or a folder that holds it; by address."""
        shelf = self._shelf(path)
        if len(shelf) < SHELF:  # a folder of many, such as "data/manifests"
            shelves = [found for key, found in self._writers.items() if key[: len(shelf)] == shelf]
            near = [entry for found in shelves for entry in found]
        else:
            near = self._writers.get(shelf, [])
        return sorted((a, out) for a, out in near if _related(path, out.path))

    def upstream(self, paths: Iterable[str]) -> list[Ran]:
        """Every stage behind `paths`, each after those that it depends on.

        Raises:
            GraphError: no stage has written one of `paths`.
        """
        order: dict[str, Ran] = {}
        visiting: set[str] = set()
        for path in paths:
            found = self.writers(path)
            if not found:
                raise GraphError(path, "no dvc.lock knows who wrote it", "run `dvc repro`")
            for address, _ in found:
                self._visit(address, order, visiting)
        return list(order.values())

    def _visit(self, address: str, order: dict[str, Ran], visiting: set[str]) -> None:
        """Depth first; a lock that names a circle (stages renamed since) does not hang it."""
        if address in order or address in visiting:
            return
        visiting.add(address)
        stage = self.stages[address]
        for path in [dep.path for dep in stage.deps] if stage.used is None else stage.used:
            for writer, _ in self.writers(path):
                self._visit(writer, order, visiting)
        order[address] = self.stages[address]

    def stale(self, stages: Iterable[Ran]) -> list[Stale]:
        """Dependencies of `stages` whose writer has since written something else."""
        return [
            Stale(stage.address, dep.path, dep.md5, out.md5)
            for stage in stages
            for dep in stage.deps
            for _, out in self.writers(dep.path)
            if out.path == dep.path and out.md5 != dep.md5
        ]

    def leaves(self, stages: Iterable[Ran]) -> list[Artefact]:
        """What `stages` read that no stage wrote: footage, records, clip.yaml, code; by path."""
        chosen = {
            dep.path: dep for stage in stages for dep in stage.deps if not self.writers(dep.path)
        }
        return [chosen[path] for path in sorted(chosen)]


def read_locks(root: Path) -> Lineage:
    """The lineage that the lock files below `root` record.

    Raises:
        GraphError: a lock file that is no YAML.
    """
    folders = [PurePosixPath(".")]
    folders += [
        PurePosixPath(lock.parent.relative_to(root).as_posix())
        for home in HOMES
        for lock in sorted(root.glob(f"{home}/*/dvc.lock"))
    ]
    return Lineage(stage for folder in folders for stage in _stages(root, folder))
