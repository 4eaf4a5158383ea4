"""Where a file came from: the stages behind it, as DVC's lock files recorded them.

Reads dvc.lock at the root and beside every clip and identity; does not import dvc, runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from likeness.provenance.code_lists import is_list, md5_of
from likeness.provenance.lockfile import LOCK, TornError, retried
from likeness.provenance.ran import Artefact, Ran, made_in, ran_in

HOMES, READ = ("data/clips", "data/identities"), (LOCK, "dvc.yaml")

SHELF = 3


@dataclass(frozen=True)
class Stale:
    """A dependency that has been written anew since a stage read it."""

    address: str
    path: str
    read_md5: str
    written_md5: str


def _related(one: str, other: str) -> bool:
    """True if the paths are equal or one lies below the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


class Lineage:
    """All stages that ran, and who wrote what.

    Attributes:
        stages: address -> stage.
    """

    def __init__(
        self, stages: Iterable[Ran], root: Path = Path(), outputs: Iterable[str] = ()
    ) -> None:
        self.stages = {stage.address: stage for stage in stages}
        self._root = root
        self._made = [re.compile(f"(?:{pattern})(?:/.*)?") for pattern in sorted(set(outputs))]
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
        else:
            shelves = [self._writers.get(shelf, [])]
        # An output may be a folder above its shelf: "data/code" holds "data/code/train.txt".
        shelves += [self._writers.get(shelf[:length], []) for length in range(1, len(shelf))]
        near = [entry for found in shelves for entry in found]
        return sorted((a, out) for a, out in near if _related(path, out.path))

    def upstream(self, paths: Iterable[str]) -> list[Ran]:
        """Every stage behind `paths`, each after those that it depends on.

        Raises:
            TornError: no stage has written one of `paths`, or something that they are made from.
        """
        order: dict[str, Ran] = {}
        visiting: set[str] = set()
        for path in paths:
            found = self.writers(path)
            if not found:
                raise self._nobody_wrote(path)
            for address, _ in found:
                self._visit(address, order, visiting)
        return list(order.values())

    @staticmethod
    def _nobody_wrote(path: str) -> TornError:
        return TornError(path, "no dvc.lock knows who wrote it", "run `dvc repro`")

    def _require_writers(self, path: str) -> None:
        """Check that what a stage has made, or lies in a folder of such, has its writer here."""
        if self._is_made(path):
            if not self.writers(path):
                raise self._nobody_wrote(path)
            return
        folder = self._root / path
        for item in sorted(folder.rglob("*")) if folder.is_dir() else ():
            below = item.relative_to(self._root).as_posix()
            if self._is_made(below) and not self.writers(below):
                raise self._nobody_wrote(below)

    def _is_made(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._made)

    def _visit(self, address: str, order: dict[str, Ran], visiting: set[str]) -> None:
        """Depth first; a lock that names a circle (stages renamed since) does not hang it."""
        if address in order or address in visiting:
            return
        visiting.add(address)
        stage = self.stages[address]
        for path in [dep.path for dep in stage.deps] if stage.used is None else stage.used:
            self._require_writers(path)
            for writer, _ in self.writers(path):
                self._visit(writer, order, visiting)
        order[address] = self.stages[address]

    def stale(self, stages: Iterable[Ran]) -> list[Stale]:
        """Dependencies of `stages` whose writer has since written something else."""
        return [
            Stale(stage.address, dep.path, dep.md5, written)
            for stage in stages
            for dep in stage.deps
            for _, out in self.writers(dep.path)
            if (written := self._written(dep.path, out)) and written != dep.md5
        ]

    def _written(self, path: str, out: Artefact) -> str:
        """Hash of what a stage wrote as `path`; "" where that is a folder of several outputs.

        A lock file has one hash of a folder. A list of code in it is small: it is read.
        """
        if out.path == path:
            return out.md5
        return md5_of(self._root / path) if is_list(path) else ""

    def leaves(self, stages: Iterable[Ran]) -> list[Artefact]:
        """What `stages` read that no stage wrote: footage, records, clip.yaml, code; by path."""
        chosen = {
            dep.path: dep for stage in stages for dep in stage.deps if not self.writers(dep.path)
        }
        return [chosen[path] for path in sorted(chosen)]


def read_locks(root: Path) -> Lineage:
    """The lineage that the lock files below `root` record.

    Raises:
        TornError: a lock file that is cut off, and stays so.
    """
    found = [path for home in HOMES for path in root.glob(f"{home}/*/*") if path.name in READ]
    folders = sorted({root, *(path.parent for path in found)})
    where = [PurePosixPath(folder.relative_to(root).as_posix()) for folder in folders]
    stages = [stage for folder in where for stage in ran_in(root, folder)]
    return Lineage(stages, root, (out for folder in where for out in made_in(root, folder)))


def behind(root: Path, paths: Sequence[str]) -> tuple[Lineage, list[Ran]]:
    """The lineage, and every stage behind `paths`; waits for the end of a rewriting.

    Raises:
        TornError: something that `paths` are made from has no stage in any lock file.
    """

    def look() -> tuple[Lineage, list[Ran]]:
        lineage = read_locks(root)
        return lineage, lineage.upstream(paths)

    return retried(look, root)
