"""Clips and identities as rows: what is known of each without decoding anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.clips import PARAMS, names
from flows.graph import Graph
from flows.status import read_state, spreading
from likeness.contracts.catalog import (
    Clip,
    identity_names,
    list_clips,
    list_identities,
    load_clip,
)
from likeness.contracts.documents import read_json
from likeness.contracts.pools import ALL, FinetuneEntry, load_model, load_pool, members, model_names
from likeness.contracts.sections import refuse_identities


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
    if not above & spreading(graph, stale):
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


def pool_rows(root: Path) -> list[dict[str, Any]]:
    """One row per pool: its name, how many it trains on, whom it holds out, and their crops."""
    identities, rows = identity_names(root / "data"), []
    for name in names("pools", root):
        entry = load_pool(name, identities, root / PARAMS)
        made = root / "data/shards" / name / "pool.json"
        found = read_json(made)["members"] if made.is_file() else []
        trained = [member for member in found if not member["held_out"]]
        expected = set(members(entry, identities)) - set(entry.held_out)
        rows.append(
            {
                "pool": name,
                "identities": len(trained) if found else len(expected),
                "held out": ", ".join(sorted(entry.held_out)),
                "crops": sum(member["train_rows"] for member in trained) if found else None,
            }
        )
    return rows


def pools_losing(identity: str, root: Path) -> list[str]:
    """Pools of `all` that train on an identity: their models are trained anew without it."""
    everybody, found = identity_names(root / "data"), []
    for name in names("pools", root):
        entry = load_pool(name, everybody, root / PARAMS)
        if entry.identities == ALL and identity not in entry.held_out:
            found.append(name)
    return found


def idle_pools(clip: str, root: Path) -> set[str]:
    """Addresses of the pool stages that a clip's footage does not change: nobody trains on it."""
    identity = load_clip(root / "data/clips" / clip / "clip.yaml").identity
    everybody, idle = identity_names(root / "data"), set()
    for name in names("pools", root):
        entry = load_pool(name, everybody, root / PARAMS)
        if identity in entry.held_out or identity not in members(entry, everybody):
            idle.add(f"pool@{name}")
    return idle


def model_rows(root: Path) -> list[dict[str, Any]]:
    """One row per model, continued ones included."""
    rows = []
    for name in model_names(root / PARAMS):
        model = load_model(name, root / PARAMS)
        begun = model.init_from if isinstance(model, FinetuneEntry) else ""
        people = {"source": model.source, "target": model.target}
        rows.append({"model": name, "family": model.family, **people, "continues": begun})
    return rows


def list_everything(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by "clips", "identities" and, where there are any, "pools" and "models".

    Numbers are None for what has not run yet.
    """
    refuse_identities(root / PARAMS)
    clips = clip_rows(root)
    identities = []
    for person in list_identities(root / "data"):
        own = [row for row in clips if row["identity"] == person.identity]
        identities.append(
            {
                "identity": person.identity,
                "consent": person.consent,
                "clips": len(own),
                "frames": sum(row["frames"] or 0 for row in own),
                "faces": sum(row["faces"] or 0 for row in own),
            }
        )
    further = {"pools": pool_rows(root), "models": model_rows(root)}
    return {
        "clips": clips,
        "identities": identities,
        **{kind: rows for kind, rows in further.items() if rows},
    }
