"""Where each stage of the graph stands in its picture: columns by depth, rows by neighbours."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from flows.graph import Graph

MANY_CLIPS = 8
"""With more clips than this, clip-level stages are drawn once per identity, with their number."""


@dataclass(frozen=True)
class Box:
    """One box of the picture: its lines of text, the stages it stands for, column and row."""

    title: str
    subtitle: str
    members: tuple[str, ...]
    column: int = 0
    row: float = 0.0


Edges = dict[str, set[str]]


def _identities(graph: Graph) -> dict[str, str]:
    """Identity that a clip's stages end in, by their dvc.yaml, read off the crops they lead to."""
    clips = [node for node in graph.nodes.values() if node.file.startswith("data/clips/")]
    return {
        node.file: below.key
        for node in clips
        for below in (graph.nodes[address] for address in graph.below(node.address))
        if below.name == "shard"
    }


def _grouped(graph: Graph) -> dict[str, list[str]]:
    clips = {n.key for n in graph.nodes.values() if n.file.startswith("data/clips/")}
    people = _identities(graph) if len(clips) > MANY_CLIPS else {}
    groups: dict[str, list[str]] = defaultdict(list)
    for node in graph.nodes.values():
        clip_level = node.file.startswith("data/clips/")
        key = node.address
        if clip_level and len(clips) > MANY_CLIPS:
            key = f"{node.name}/{people.get(node.file, node.key)}"
        groups[key].append(node.address)
    return dict(groups)


def _edges(graph: Graph, groups: dict[str, list[str]]) -> Edges:
    group_of = {address: key for key, members in groups.items() for address in members}
    edges: Edges = {key: set() for key in groups}
    for address, above in graph.upstream.items():
        for other in above:
            if group_of[other] != group_of[address]:
                edges[group_of[address]].add(group_of[other])
    return edges


def _depths(edges: Edges) -> dict[str, int]:
    depth: dict[str, int] = {}

    def of(key: str) -> int:
        if key not in depth:
            depth[key] = 1 + max((of(other) for other in edges[key]), default=-1)
        return depth[key]

    for key in edges:
        of(key)
    # A stage without inputs (roster) stands just before what reads it, not far to the left.
    for key, above in edges.items():
        readers = [depth[k] for k, up in edges.items() if key in up]
        if not above and readers:
            depth[key] = min(readers) - 1
    return depth


def reduce(edges: Edges) -> Edges:
    """Edges that no longer path implies: what a reader of the picture needs."""
    reach: Edges = {}

    def above(key: str) -> set[str]:
        if key not in reach:
            reach[key] = set().union(edges[key], *(above(other) for other in edges[key]))
        return reach[key]

    return {
        key: {u for u in up if not any(u in above(v) for v in up if v != u)}
        for key, up in edges.items()
    }


def _rows(columns: dict[int, list[str]], edges: Edges) -> dict[str, float]:
    """Vertical places: columns ordered by the mean row of their neighbours, a few times over."""
    readers: Edges = {key: set() for key in edges}
    for key, up in edges.items():
        for other in up:
            readers[other].add(key)
    row = {key: float(i) for keys in columns.values() for i, key in enumerate(sorted(keys))}
    for sweep in range(8):
        near = edges if sweep % 2 == 0 else readers
        for column in sorted(columns, reverse=bool(sweep % 2)):
            keys = columns[column]
            mean = {k: sum(row[n] for n in near[k]) / len(near[k]) if near[k] else row[k]
                    for k in keys}  # fmt: skip
            keys.sort(key=lambda k: (mean[k], k))
            first = sum(mean.values()) / len(keys) - (len(keys) - 1) / 2
            row.update({key: first + i for i, key in enumerate(keys)})
    return row


def _box(graph: Graph, members: list[str], column: int, row: float, key: str) -> Box:
    node = graph.nodes[members[0]]
    subtitle = node.key
    if len(members) > 1:
        subtitle = f"{key.partition('/')[2]} ({len(members)} clips)"
    return Box(node.name, subtitle, tuple(members), column, row)


def place(graph: Graph) -> tuple[dict[str, Box], Edges]:
    """Boxes with their places, and the edges worth drawing (reader -> what it reads)."""
    groups = _grouped(graph)
    edges = reduce(_edges(graph, groups))
    depth = _depths(edges)
    columns: dict[int, list[str]] = defaultdict(list)
    for key, column in depth.items():
        columns[column].append(key)
    row = _rows(columns, edges)
    boxes = {k: _box(graph, m, depth[k], row[k], k) for k, m in groups.items()}
    return boxes, edges
