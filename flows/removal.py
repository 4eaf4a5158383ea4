"""Clips go: refused while something needs them, and nothing of them stays in the workspace."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from flows import identities
from flows.changes import Change, Say, documents
from flows.clips import PARAMS, TEMPLATE, find_clip, names
from likeness.contracts.atomic import write_text
from likeness.contracts.catalog import (
    Clip,
    clip_folder,
    identity_folder,
    identity_names,
    list_clips,
)
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import CatalogError
from likeness.contracts.pools import PoolEntry, named
from likeness.contracts.sections import ModelEntry, SwapEntry, load_entry


@dataclass(frozen=True)
class Removal:
    """What removing a clip, or an identity without clips, removes.

    Attributes:
        clip: its name.
        paths: files and folders that go.
        identity: the identity that goes as well; "" if it keeps other clips.
    """

    clip: str
    paths: tuple[Path, ...]
    identity: str


def users(clip: str, identity: str, root: Path) -> list[str]:
    """Swaps that aim at `clip`; what names `identity` ("" asks for none): pools, models, swaps."""
    found: list[str] = []
    for name in names("pools", root):
        pool = load_entry("pools", name, PoolEntry, root / PARAMS)
        if identity and identity in named(pool):
            found.append(f"pools.{name}")
    for kind in ("models", "finetuned"):
        for name in names(kind, root):
            model = load_entry(kind, name, ModelEntry, root / PARAMS)
            if identity and identity in {model.source, model.target}:
                found.append(f"{kind}.{name}")
    for name in names("swaps", root):
        swap = load_entry("swaps", name, SwapEntry, root / PARAMS)
        if swap.target == clip or (identity and swap.source == identity):
            found.append(f"swaps.{name}")
    return found


def check_removal(clip: str, root: Path) -> Removal:
    """Find what goes with a clip.

    Raises:
        CatalogError: no such clip, or a model or swap still needs it.
    """
    folder = clip_folder(clip, root / "data")
    clips = list_clips(root / "data")
    if clip in identity_names(root / "data") and clip not in {c.clip for c in clips}:
        return _check_identity(clip, clips, root)
    orphan = require_unused(find_clip(clip, root), root)
    paths = [folder, *outputs(TEMPLATE, root, "clip", clip=clip, identity="*")]
    if orphan:
        paths += identity_paths(orphan, root)
    there = tuple(dict.fromkeys(path for path in paths if path.exists()))
    return Removal(clip, there, orphan)


def require_unused(record: Clip, root: Path) -> str:
    """Check that nothing needs a clip as it is.

    Returns:
        The identity whose last clip it is, which goes with it; "" if it keeps others.

    Raises:
        CatalogError: a pool, model or swap needs the clip, or that identity.
    """
    clips = list_clips(root / "data")
    last = not any(c.identity == record.identity and c.clip != record.clip for c in clips)
    if found := users(record.clip, record.identity if last else "", root):
        what = f"is the last clip of `{record.identity}`, which" if last else "as a target"
        problem = f"{what} is used by {', '.join(found)}"
        raise CatalogError(record.clip, problem, "change or remove those in params.yaml first")
    return record.identity if last else ""


def _check_identity(identity: str, clips: list[Clip], root: Path) -> Removal:
    own = [clip.clip for clip in clips if clip.identity == identity]
    if own:
        step = f"remove its clips ({', '.join(own)}); it goes with the last"
        raise CatalogError(identity, "is an identity that has clips", step)
    if found := users("", identity, root):
        step = "change or remove those in params.yaml first"
        raise CatalogError(identity, f"is used by {', '.join(found)}", step)
    there = tuple(path for path in identity_paths(identity, root) if path.exists())
    return Removal(identity, there, identity)


def identity_paths(identity: str, root: Path) -> list[Path]:
    """Everything that goes with an identity: its documents first, so that its stages go first."""
    home = identity_folder(identity, root / "data")
    clips = [root / "data" / kind / identity for kind in ("crops", "galleries")]
    return [home, *clips, *outputs(identities.TEMPLATE, root, "identity", identity=identity)]


def outputs(template: Path, root: Path, kind: str, **names: str) -> list[Path]:
    """Outputs of a template's stages, each cut off after the part that holds the name of `kind`.

    `data/appearance/${identity}/map.json` gives `data/appearance/ann`.
    """
    found: list[Path] = []
    for stage in (load_yaml(root / template).get("stages") or {}).values():
        for out in stage.get("outs") or []:
            parts = Path(out if isinstance(out, str) else next(iter(out))).parts
            last = next((i for i, part in enumerate(parts) if f"${{{kind}}}" in part), None)
            if last is None:
                continue
            pattern = "/".join(parts[: last + 1])
            for name, value in names.items():
                pattern = pattern.replace(f"${{{name}}}", value)
            found += sorted(root.glob(pattern))
    return list(dict.fromkeys(found))


def remove_clip(removal: Removal, root: Path, say: Say = print) -> None:
    """Remove a clip. Folders leave the graph in one rename each; what remains is sweeping up.

    Raises:
        CatalogError: it has changed since `check_removal`, so that more or less would go.
    """
    with Change(root, say) as change, documents(root, say):
        now = check_removal(removal.clip, root)
        if now.identity != removal.identity:
            step = "look with `likeness list`, then run the same again"
            raise CatalogError(removal.clip, "clips of its identity came or went", step)
        for path in now.paths:
            change.put_aside(path)
        change.commit()


def out_of_date(root: Path) -> list[Path]:
    """Clip- and identity-level dvc.yaml files that differ from their template."""
    return [path for path, template in _copies(root) if not _equal(path, root / template)]


def say_out_of_date(root: Path) -> None:
    """Print a note to stderr for each copy that differs: DVC runs what it says, not the template.

    A note, for a copy of before stays good until its clip is to have the new stages.
    """
    for path, template in _copies(root):
        if (root / template).is_file() and not _equal(path, root / template):
            what = f"differs from {template}" if path.is_file() else "is missing"
            print(f"note: {path.relative_to(root)} {what}; run `likeness sync`", file=sys.stderr)


def _copies(root: Path) -> list[tuple[Path, Path]]:
    """Every copy of a template with the template it is to equal."""
    homes = {
        "clips/*/clip.yaml": TEMPLATE,
        "identities/*/identity.yaml": identities.TEMPLATE,
    }
    return [
        (path.with_name("dvc.yaml"), template)
        for pattern, template in homes.items()
        for path in sorted((root / "data").glob(pattern))
    ]


def _equal(path: Path, template: Path) -> bool:
    return path.is_file() and path.read_bytes() == template.read_bytes()


def sync(root: Path) -> list[Path]:
    """Copy the templates beside clips and identities again; returns the files that changed."""
    changed = [(path, t) for path, t in _copies(root) if not _equal(path, root / t)]
    for path, template in changed:
        write_text(path, (root / template).read_text(encoding="utf-8"))
    return [path for path, _ in changed]
