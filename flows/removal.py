"""Clips go: refused while something needs them, and nothing of them stays in the workspace."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from flows import catalog, identities
from flows.catalog import PARAMS, names
from likeness.contracts.atomic import write_text
from likeness.contracts.catalog import clip_folder, identity_folder, list_clips
from likeness.contracts.choices import choices
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import CatalogError
from likeness.contracts.params import ModelEntry, SwapEntry, load_entry
from likeness.contracts.pools import PoolEntry, named


@dataclass(frozen=True)
class Removal:
    """What removing a clip removes.

    Attributes:
        clip: its name.
        paths: files and folders that go.
        identity: the identity that goes as well; "" if it keeps other clips.
    """

    clip: str
    paths: tuple[Path, ...]
    identity: str


def _users(clip: str, identity: str, root: Path) -> list[str]:
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
    record = next((c for c in clips if c.clip == clip), None)
    if record is None:
        raise CatalogError(clip, "no such clip", choices(clip, (c.clip for c in clips)))
    last = not any(c.identity == record.identity and c.clip != clip for c in clips)
    users = _users(clip, record.identity if last else "", root)
    if users:
        what = f"is the last clip of `{record.identity}`, which" if last else "as a target"
        problem = f"{what} is used by {', '.join(users)}"
        raise CatalogError(clip, problem, "change or remove those in params.yaml first")
    paths = [folder, *(root / "data/crops").glob(f"*/{clip}.parquet")]
    if last:
        own = [f"crops/{record.identity}", f"shards/{record.identity}"]
        own += [f"appearance/{record.identity}", f"identities/{record.identity}"]
        own += [f"{kind}/{record.identity}.json" for kind in ("rosters", "manifests")]
        paths += [root / "data" / name for name in own]
    found = tuple(path for path in paths if path.exists())
    return Removal(clip, found, record.identity if last else "")


def remove_clip(removal: Removal, root: Path) -> None:
    """Remove a clip. Folders leave the graph in one rename each; what remains is sweeping up."""
    aside = root / state_folder() / f"removed-{removal.clip}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shutil.move(clip_folder(removal.clip, root / "data"), aside / "clip")
    if removal.identity:
        home = identity_folder(removal.identity, root / "data")
        if home.is_dir():
            shutil.move(home, aside / "identity")
    for path in (aside, *removal.paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def out_of_date(root: Path) -> list[Path]:
    """Clip- and identity-level dvc.yaml files that differ from their template."""
    return [path for path, template in _copies(root) if not _equal(path, root / template)]


def _copies(root: Path) -> list[tuple[Path, Path]]:
    """Every copy of a template with the template it is to equal."""
    homes = {
        "clips/*/clip.yaml": catalog.TEMPLATE,
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
