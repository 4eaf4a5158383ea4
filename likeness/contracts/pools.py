"""`pools:` and `finetuned:` of params.yaml: many people for one model, and models that continue."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field

from likeness.contracts.choices import choices
from likeness.contracts.documents import Document
from likeness.contracts.errors import ParamsError
from likeness.contracts.sections import PARAMS_FILE, ModelEntry, entry_names, load_entry

ALL = "all"


class PoolEntry(Document):
    """`pools.<name>`: identities that a model for any face learns from."""

    identities: Literal["all"] | list[str] = Field(
        default="all", description="`all`, or a list of identities"
    )
    held_out: list[str] = Field(
        default=[], description="identities among them that no model of this pool is trained on"
    )


class FinetuneEntry(ModelEntry):
    """`finetuned.<name>`: a model entry that continues from another model.

    Keys of the family and of `train` that it does not name are those of `models.<init_from>`.
    """

    init_from: str = Field(description="key under models: whose weights are the first ones")


def load_model(name: str, path: Path = PARAMS_FILE) -> ModelEntry:
    """`models.<name>` or `finetuned.<name>`, the latter with what it takes over filled in.

    Raises:
        ParamsError: no such entry, one that is not allowed, or one that continues from another
            family or from a model that does not exist.
    """
    if name not in entry_names("finetuned", path):
        return load_entry("models", name, ModelEntry, path)
    entry = load_entry("finetuned", name, FinetuneEntry, path)
    if name in entry_names("models", path):
        problem = "stands under `models:` and under `finetuned:`"
        raise ParamsError(path, f"`{name}` {problem}", "rename one of the two")
    begun = load_entry("models", entry.init_from, ModelEntry, path)
    if begun.family != entry.family:
        problem = f"`finetuned.{name}` is of {entry.family}, `{entry.init_from}` of {begun.family}"
        raise ParamsError(path, problem, f"set `family: {begun.family}`")
    inherited = {key: value for key, value in begun.settings.items() if key not in entry.settings}
    train = {**begun.train, **entry.train}
    return FinetuneEntry.model_validate({**entry.model_dump(), **inherited, "train": train})


def model_names(path: Path = PARAMS_FILE) -> list[str]:
    """Names under `models:` and `finetuned:`: all that a swap may use."""
    return [*entry_names("models", path), *entry_names("finetuned", path)]


def load_pool(name: str, known: Collection[str], path: Path = PARAMS_FILE) -> PoolEntry:
    """`pools.<name>`, whose names all exist; `known` are all identities.

    Raises:
        ParamsError: no such pool, a name that an identity has, or identities that do not exist.
    """
    entry = load_entry("pools", name, PoolEntry, path)
    if name in known:
        problem = f"`{name}` is a pool and an identity"
        raise ParamsError(path, problem, "rename the pool: shards of both lie in one folder")
    for identity in named(entry):
        if identity not in known:
            problem = f"`pools.{name}` names `{identity}`, which is no identity"
            raise ParamsError(path, problem, choices(identity, sorted(known)))
    return entry


def named(entry: PoolEntry) -> list[str]:
    """Identities that a pool names itself, sorted; `all` names nobody."""
    listed = [] if entry.identities == ALL else entry.identities
    return sorted({*listed, *entry.held_out})


def members(entry: PoolEntry, identities: list[str]) -> list[str]:
    """Everybody in a pool, held out or not, sorted; `identities` are all there are."""
    return sorted(identities) if entry.identities == ALL else named(entry)
