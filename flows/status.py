"""What is out of date, why, and what a rebuild would run; DVC alone decides, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.graph import Graph, from_repo, open_repo

if TYPE_CHECKING:
    from dvc.repo import Repo


def stale_in(repo: Repo) -> dict[str, tuple[str, ...]]:
    """Address -> reasons, for every stage that DVC finds changed; one call for all.

    Stages that merely stand below a changed one are not in it: they may turn out unchanged.
    """
    reasons: dict[str, tuple[str, ...]] = {}
    for address, entries in repo.status().items():
        reasons[address] = tuple(_reasons(entries))
    return reasons


def _reasons(entries: Iterable[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        for kind, paths in entry.items():
            if not isinstance(paths, dict):
                yield str(kind)
                continue
            for path, how in paths.items():
                state = "changed" if isinstance(how, dict) else how
                yield f"{'output' if kind == 'changed outs' else 'input'} {path} {state}"


def brief(reasons: Iterable[str], most: int = 3) -> str:
    """The first reasons, and how many more there are."""
    listed = list(reasons)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more


def read_state(root: Path | None = None) -> tuple[Graph, dict[str, tuple[str, ...]]]:
    """The graph, and what is stale in it (see `stale_in`), with the repository opened once."""
    with open_repo(root) as repo:
        return from_repo(repo), stale_in(repo)


def will_run(graph: Graph, stale: dict[str, tuple[str, ...]]) -> list[str]:
    """Stages that a rebuild runs, or may run if what they read turns out different.

    A stage that always runs and is otherwise unchanged (`roster`) counts for itself alone.
    """
    start = [
        address
        for address, why in stale.items()
        if address in graph.nodes and set(why) != {"always changed"}
    ]
    return [a for a in graph.below(*start) if not graph.nodes[a].footage]
