"""What is out of date, why, and what a rebuild would run; DVC alone decides, in one call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.graph import Graph, StageNode, from_repo, open_repo
from flows.stale_code import with_code
from likeness.contracts.dvclock import entries
from likeness.contracts.listed_code import FOLDER
from likeness.contracts.rwlock import Entry, overlap
from likeness.provenance.lockfile import LOCK, read_lock

if TYPE_CHECKING:
    from dvc.repo import Repo

LONGEST = 40
"""Letters of a value in a reason."""


def stale_in(repo: Repo) -> dict[str, tuple[str, ...]]:
    """Address -> reasons, for every stage that DVC finds changed.

    Stages that merely stand below a changed one are not in it: they may turn out unchanged. One
    that another run is making now is, without a look at its half-written files.
    """
    busy = [entry for entry in entries(Path()) if entry.writes]
    reasons: dict[str, tuple[str, ...]] = {}
    for stage in repo.index.stages:
        if found := tuple(_being_made(stage, busy) or _look(stage)):
            reasons[stage.addressing] = found
    return reasons


def _being_made(stage: Any, busy: list[Entry]) -> list[str]:
    outputs = [str(out.fs_path) for out in stage.outs]
    owners = sorted({e.pid for e in busy for out in outputs if overlap(e.path, out)})
    return [f"is being made now (process {pid})" for pid in owners]


def _look(stage: Any) -> Iterator[str]:
    if stage.cmd and not _has_run(stage):
        yield "never ran"
        return
    try:
        found = stage.status(check_updates=True)
    except FileNotFoundError as error:  # another run replaces a folder while it is being hashed
        yield f"{error.filename or 'an output'} has just changed"
        return
    for entries_ in found.values():
        yield from _reasons(entries_, stage)


def _has_run(stage: Any) -> bool:
    return stage.name in read_lock(Path(stage.path).with_name(LOCK), Path())


def _reasons(found: Iterable[Any], stage: Any) -> Iterator[str]:
    for entry in found:
        if isinstance(entry, str):
            yield entry
            continue
        for kind, paths in entry.items():
            if not isinstance(paths, dict):
                yield str(kind)
                continue
            for path, how in paths.items():
                if isinstance(how, dict):
                    yield from changed_keys(stage, path)
                else:
                    yield f"{'output' if kind == 'changed outs' else 'input'} {path} {how}"


def changed_keys(stage: Any, path: str) -> list[str]:
    """What differs in a parameter file since the stage ran: `blend.feather 0.045 -> 0.1`."""
    lines = []
    for dependency in stage.deps:
        if str(dependency) != path or not hasattr(dependency, "read_params"):
            continue
        before = dict(_leaves(dependency.hash_info.value or {}))
        now = dict(_leaves(dependency.read_params()))
        for key in [*now, *(before.keys() - now.keys())]:
            if key not in before:
                lines.append(f"{key} {_worded(now[key])} (new)")
            elif key not in now:
                lines.append(f"{key} {_worded(before[key])} (removed)")
            elif _listed(before[key]) != _listed(now[key]):
                lines.append(f"{key} {_worded(before[key])} -> {_worded(now[key])}")
    return lines or [f"input {path} changed"]


def _listed(value: object) -> object:
    # DVC reads lists of a parameter file as tuples, and notes them as lists.
    return list(value) if isinstance(value, tuple) else value


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in nested mappings; an empty mapping is a value."""
    if isinstance(value, dict) and (value or not key):
        for name, below in value.items():
            yield from _leaves(below, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _worded(value: Any) -> str:
    """A value as YAML has it, cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(_listed(value), default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def brief(reasons: Iterable[str], most: int = 3) -> str:
    """The first reasons, and how many more there are."""
    listed = list(reasons)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more


def read_state(root: Path | None = None) -> tuple[Graph, dict[str, tuple[str, ...]]]:
    """The graph, and what is stale in it, with the repository opened once.

    See `stale_in`; a changed module is a reason of the stages that run it (`with_code`).
    """
    with open_repo(root) as repo:
        return from_repo(repo), with_code(repo, stale_in(repo))


def will_run(graph: Graph, stale: dict[str, tuple[str, ...]]) -> list[str]:
    """Stages that a rebuild runs, or may run if what they read turns out different.

    A stage that always runs and is otherwise unchanged (`roster`) counts for itself alone; so does
    `code`: those whose list it will change are stale by themselves.
    """
    start = [a for a in graph.nodes if a in stale and set(stale[a]) != {"always changed"}]
    code = {address for address, node in graph.nodes.items() if lists_code(node)}
    return [a for a in graph.below(*start, stop=code) if not graph.nodes[a].footage]


def spreading(graph: Graph, stale: dict[str, tuple[str, ...]]) -> set[str]:
    """Stale stages that may change what stands below them: `code` by itself does not."""
    return {
        address
        for address, why in stale.items()
        if address in graph.nodes
        and set(why) != {"always changed"}
        and not lists_code(graph.nodes[address])
    }


def lists_code(node: StageNode) -> bool:
    """Whether a stage writes the lists of code."""
    return FOLDER.as_posix() in node.outputs
