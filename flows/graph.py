"""DVC's graph as plain data: stages, what stands upstream and downstream, what is stale.

There is no second statement of the graph: everything here is read from dvc.yaml through DVC.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from likeness.contracts.errors import GraphError
from likeness.provenance.lockfile import signatures

if TYPE_CHECKING:
    from dvc.repo import Repo


@dataclass(frozen=True)
class StageNode:
    """One stage of the graph.

    Attributes:
        address: what `dvc repro` takes: `train@x`, `data/clips/a/dvc.yaml:detect`.
        file: the dvc.yaml (or .dvc file) that holds it, relative to the root.
        name: stage name without file and key: `train`.
        key: identity, model, swap or clip; "" if there is one only.
        description: `desc` of the stage.
        resource: `meta.resource`: io, compute or network; "data" for tracked footage.
        dependencies: paths it reads, relative to the root (params.yaml left out).
        outputs: paths it writes, relative to the root.
        always_changed: runs every time (cheap; unchanged output stops what follows).
        footage: True for a .dvc file, which tracks data and runs nothing.
    """

    address: str
    file: str
    name: str
    key: str
    description: str
    resource: str
    dependencies: tuple[str, ...]
    outputs: tuple[str, ...]
    always_changed: bool = False
    footage: bool = False

    @property
    def label(self) -> str:
        """Short name for people: `detect woman-pexels`, `train woman-man-mesh`."""
        return f"{self.name} {self.key}".strip()


@dataclass(frozen=True)
class Graph:
    """Stages in an order in which they can run, and the edges between them.

    Attributes:
        nodes: address -> stage; each stands after everything upstream of it.
        upstream: address -> addresses whose outputs it reads.
    """

    nodes: dict[str, StageNode]
    upstream: dict[str, tuple[str, ...]]

    @property
    def stages(self) -> list[StageNode]:
        """Stages that run something: all but tracked footage."""
        return [node for node in self.nodes.values() if not node.footage]

    @property
    def downstream(self) -> dict[str, tuple[str, ...]]:
        """Address -> addresses that read its outputs."""
        found: dict[str, list[str]] = {address: [] for address in self.nodes}
        for address, above in self.upstream.items():
            for other in above:
                found[other].append(address)
        return {address: tuple(below) for address, below in found.items()}

    def _closure(
        self,
        start: Iterable[str],
        edges: dict[str, tuple[str, ...]],
        stop: Collection[str] = (),
    ) -> list[str]:
        seen: set[str] = set()
        waiting = list(start)
        while waiting:
            address = waiting.pop()
            if address not in seen:
                seen.add(address)
                waiting.extend(() if address in stop else edges[address])
        return [address for address in self.nodes if address in seen]

    def above(self, *addresses: str) -> list[str]:
        """The given stages and everything they are made from, in running order."""
        return self._closure(map(self.find, addresses), self.upstream)

    def below(self, *addresses: str, stop: Collection[str] = ()) -> list[str]:
        """The given stages and everything made from them, in running order.

        Args:
            stop: stages whose output will not change: nothing is followed beyond them.
        """
        return self._closure(map(self.find, addresses), self.downstream, stop)

    def find(self, address: str) -> str:
        """Return `address` if the graph has it; `shard@ann` finds a stage in ann's own dvc.yaml.

        Raises:
            GraphError: unknown; stages of similar name are listed.
        """
        if address in self.nodes:
            return address
        name, _, key = address.partition("@")
        found = [
            a for a, node in self.nodes.items() if key and (node.name, node.key) == (name, key)
        ]
        if len(found) == 1:
            return found[0]
        close = [a for a in self.nodes if name in a] or list(self.nodes)
        raise GraphError(address, "no such stage", f"known: {', '.join(close[:12])}")

    def only(self, addresses: Iterable[str]) -> Graph:
        """The part of the graph that holds `addresses` alone."""
        wanted = set(addresses)
        return Graph(
            {a: node for a, node in self.nodes.items() if a in wanted},
            {
                a: tuple(u for u in up if u in wanted)
                for a, up in self.upstream.items()
                if a in wanted
            },
        )

    def swap(self, name: str) -> Graph:
        """Everything that leads to swap `name` being published.

        Raises:
            GraphError: no such swap; the known ones are listed.
        """
        known = self.swaps()
        if name not in known:
            step = f"known: {', '.join(known) or 'none; add one under swaps: in params.yaml'}"
            raise GraphError(name, "no such swap", step)
        ends = [a for a, node in self.nodes.items() if node.key == name and node.name in SWAP_LEVEL]
        return self.only(self.above(*ends))

    def swaps(self) -> list[str]:
        """Names of the swaps."""
        return [node.key for node in self.nodes.values() if node.name == "publish"]


SWAP_LEVEL = ("convert", "blend", "evaluate", "publish")


@contextmanager
def open_repo(root: Path | None = None) -> Iterator[Repo]:
    """DVC's repository at `root` (default: here), to be read, also beside a run.

    No lock is taken and nothing noted of what is read, so that neither waits for the other: a
    `dvc repro` beside would fail on our locks. Its index is of lock files that were complete.

    Raises:
        GraphError: DVC cannot read it; its own first line says why.
        TornError: a dvc.lock that is cut off, and nobody is writing it.
    """
    # DVC takes half a second to import; `likeness --help` and completion do without it.
    from dvc.exceptions import DvcException
    from dvc.lock import LockNoop
    from dvc.repo import Repo, lock_repo

    here = root or Path.cwd()
    try:
        # DVC words addresses relative to the current folder; ours are relative to the root.
        with chdir(here), Repo() as repo, TemporaryDirectory() as private:
            repo.lock, repo.tmp_dir = LockNoop(), private
            with lock_repo(repo):
                _load_index(repo)
                yield repo
    except DvcException as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise GraphError("dvc.yaml", text, "correct it, then `dvc status` to check") from None


def _load_index(repo: Repo) -> None:
    """Let DVC read every dvc.yaml and dvc.lock, again if a lock was rewritten meanwhile.

    Raises:
        DvcException: DVC cannot read them, though none has changed.
    """
    from dvc.exceptions import DvcException

    root = Path()
    while True:
        before, failed = dict(signatures(root)), None
        try:
            _ = repo.index.graph
        except DvcException as error:
            failed = error
        if dict(signatures(root)) == before:
            if failed:
                raise failed
            return
        repo._reset()  # what `lock_repo` does on entering


def _relative(path: str, root: str) -> str:
    return os.path.relpath(path, root) if Path(path).is_absolute() else path


def _node(stage: Any, root: str) -> StageNode:
    file = _relative(stage.path, root)
    footage = not stage.is_repo_import and not getattr(stage, "cmd", None)
    name, _, key = str(getattr(stage, "name", "") or Path(file).name).partition("@")
    if not key and str(Path(file).parent).startswith("data"):
        key = Path(file).parent.name
    skip = {"params.yaml"}
    depend = [_relative(str(d.fs_path), root) for d in stage.deps if not _is_params(d)]
    return StageNode(
        address=stage.addressing,
        file=file,
        name="footage" if footage else name,
        key=key,
        description=stage.desc or "",
        resource="data" if footage else str((stage.meta or {}).get("resource", "compute")),
        dependencies=tuple(d for d in depend if d not in skip),
        outputs=tuple(_relative(str(o.fs_path), root) for o in stage.outs),
        always_changed=bool(stage.always_changed),
        footage=footage,
    )


def _is_params(dependency: Any) -> bool:
    return type(dependency).__name__ == "ParamsDependency"


def _ordered(edges: dict[str, tuple[str, ...]]) -> list[str]:
    """Addresses, each after its upstream; ties by name, so that the order never varies."""
    from graphlib import TopologicalSorter

    sorter = TopologicalSorter(edges)
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order


def from_repo(repo: Repo) -> Graph:
    """Read the graph of an open repository."""
    found = repo.index.graph
    nodes = {stage.addressing: _node(stage, repo.root_dir) for stage in found.nodes}
    edges = {
        stage.addressing: tuple(sorted(other.addressing for other in found.successors(stage)))
        for stage in found.nodes
    }
    return Graph({address: nodes[address] for address in _ordered(edges)}, edges)


def read_graph(root: Path | None = None) -> Graph:
    """Read the whole graph: the root's dvc.yaml and every clip's.

    Raises:
        GraphError: DVC cannot read it.
    """
    with open_repo(root) as repo:
        return from_repo(repo)
