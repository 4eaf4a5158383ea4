"""What became of a stage, and the hashes by which that is told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from flows.graph import Graph, StageNode
from flows.run import State
from likeness.contracts.documents import load_yaml
from likeness.provenance.lockfile import LOCK, TornError, read_lock, retried


@dataclass(frozen=True)
class Outcome:
    """What became of one stage.

    Attributes:
        hashes: output path -> hash in dvc.lock; further the hash of each file below an output that
            another stage reads by itself, such as its list in data/code.
        differing: those paths whose hash is another one than before.
    """

    address: str
    state: State
    seconds: float
    hashes: dict[str, str]
    differing: frozenset[str] = frozenset()

    @property
    def changed(self) -> bool:
        """Whether the outputs differ from those before."""
        return bool(self.differing)


def locked_hashes(node: StageNode, root: Path) -> dict[str, str]:
    """Output path -> hash, as DVC noted it last; empty if the stage never ran."""
    if node.footage:
        entries = load_yaml(root / node.file).get("outs", [])
        return {node.outputs[0]: str(entries[0].get("md5", ""))} if entries else {}
    stages = read_lock((root / node.file).with_name(LOCK), root)
    outs = stages.get(node.address.rpartition(":")[2], {}).get("outs", [])
    return {str(out["path"]): str(out.get("md5", "")) for out in outs}


def noted_hashes(node: StageNode, root: Path) -> dict[str, str]:
    """`locked_hashes` of a stage that has just run.

    Raises:
        TornError: DVC's lock file does not know it.
    """

    def look() -> dict[str, str]:
        found = locked_hashes(node, root)
        if not found and node.outputs:
            lock = (root / node.file).with_name(LOCK)
            raise TornError(lock, f"lacks {node.address}, which ran", "run `dvc repro`")
        return found

    return retried(look, root)


def inner_reads(graph: Graph, address: str) -> tuple[str, ...]:
    """Files below an output of a stage that others name among their dependencies."""
    folders = tuple(f"{out}/" for out in graph.nodes[address].outputs)
    read = {
        path
        for below in graph.downstream.get(address, ())
        for path in graph.nodes[below].dependencies
        if path.startswith(folders)
    }
    return tuple(sorted(read))


def md5_of(path: Path) -> str:
    """DVC's hash of a file; "" if there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
