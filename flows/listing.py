"""Clips and identities as rows: what is known of each without decoding anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.catalog import names
from flows.graph import Graph
from flows.status import read_state
from likeness.contracts.catalog import Clip, list_clips
from likeness.contracts.params import IdentityEntry, load_entry


def _rows_of(path: Path) -> int | None:
    if not path.is_file():
        return None
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def clip_state(graph: Graph, stale: dict[str, tuple[str, ...]], clip: Clip, root: Path) -> str:
    """One word or two: ready, new, stale, or footage missing."""
    folder = root / "data/clips" / clip.clip
    if clip.footage and not (folder / clip.footage).exists():
        return "footage missing"
    own = [a for a, n in graph.nodes.items() if n.file == f"data/clips/{clip.clip}/dvc.yaml"]
    if not own:
        return "no dvc.yaml"
    above = set(graph.above(*own))
    if not above & {a for a, why in stale.items() if set(why) != {"always changed"}}:
        return "ready"
    return "stale" if (folder / "dvc.lock").is_file() else "new"


def clip_rows(root: Path) -> list[dict[str, Any]]:
    """One row per clip: clip, identity, role, consent, frames, faces, state."""
    graph, stale = read_state(root)
    rows = []
    for clip in list_clips(root / "data"):
        folder = root / "data/clips" / clip.clip
        rows.append(
            {
                "clip": clip.clip,
                "identity": clip.identity,
                "role": clip.role,
                "consent": clip.consent,
                "frames": _rows_of(folder / "frames.parquet"),
                "faces": _rows_of(folder / "faces.parquet"),
                "state": clip_state(graph, stale, clip, root),
            }
        )
    return rows


def list_everything(root: Path) -> dict[str, list[dict[str, Any]]]:
    """{"clips": rows, "identities": rows}; numbers are None for what has not run yet."""
    clips = clip_rows(root)
    identities = []
    for name in names("identities", root):
        entry = load_entry("identities", name, IdentityEntry, root / "params.yaml")
        own = [row for row in clips if row["identity"] == name]
        identities.append(
            {
                "identity": name,
                "consent": entry.consent,
                "clips": len(own),
                "frames": sum(row["frames"] or 0 for row in own),
                "faces": sum(row["faces"] or 0 for row in own),
            }
        )
    return {"clips": clips, "identities": identities}
