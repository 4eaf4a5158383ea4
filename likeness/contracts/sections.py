"""params.yaml: one section per stage, one per model family, `models:` and `swaps:` at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from likeness.contracts.choices import choices
from likeness.contracts.documents import Document, line_of, load_yaml, shown, validate
from likeness.contracts.errors import ParamsError
from likeness.contracts.strict import Strict

PARAMS_FILE = Path("params.yaml")
P = TypeVar("P", bound=BaseModel)


class ModelEntry(Strict):
    """`models.<name>`: a family, the identities it learns, and settings of that family."""

    # The keys beside these are the family's own Config; the family checks them.
    model_config = ConfigDict(extra="allow", frozen=True)

    family: str = Field(description="folder in models/swappers")
    source: str = Field(description="identity that gives the face")
    target: str = Field(description="identity that receives it")
    train: dict[str, Any] = Field(default={}, description="overrides of the train section")

    @property
    def settings(self) -> dict[str, Any]:
        """Keys that belong to the family."""
        return dict(self.model_extra or {})


class SwapEntry(Document):
    """`swaps.<name>`: source identity + target clip + model, and what differs for this swap."""

    source: str = Field(description="identity whose face is shown")
    target: str = Field(description="clip that receives it")
    model: str = Field(description="key under models:")
    convert: dict[str, Any] = Field(default={}, description="overrides of the convert section")
    blend: dict[str, Any] = Field(default={}, description="overrides of the blend section")
    evaluate: dict[str, Any] = Field(default={}, description="overrides of the evaluate section")
    publish: dict[str, Any] = Field(default={}, description="overrides of the publish section")


def load_section(
    name: str, model: type[P], path: Path = PARAMS_FILE, overrides: dict[str, Any] | None = None
) -> P:
    """Validate section `name` of params.yaml; a missing section means all defaults.

    Args:
        overrides: keys that replace those of the section, from a swap or model entry.

    Raises:
        ParamsError: with file, line, key and allowed values.
    """
    content = load_yaml(path)
    section = content.get(name)
    if section is None:
        section = {}
    if not isinstance(section, dict):
        subject = f"{path}:{line_of(content, (name,))}"
        raise ParamsError(subject, f"section `{name}` is no mapping", "write `key: value` below it")
    for key, value in (overrides or {}).items():
        section[key] = value
    return validate(model, section, path, (name,))


def load_entry(kind: str, name: str, model: type[P], path: Path = PARAMS_FILE) -> P:
    """Validate `<kind>.<name>`, for example `swaps.woman-on-man-mesh`.

    Raises:
        ParamsError: no such entry (the known ones are listed), or one that is not allowed.
    """
    entries = load_entries(kind, path)
    if name not in entries:
        raise ParamsError(path, f"no entry `{kind}.{name}`", choices(name, sorted(entries)))
    return validate(model, entries[name], path, (kind, name))


def entry_names(kind: str, path: Path = PARAMS_FILE) -> list[str]:
    """Names under `pools:`, `models:` or `swaps:`, in the file's order."""
    return list(load_entries(kind, path))


def load_entries(kind: str, path: Path = PARAMS_FILE) -> dict[str, Any]:
    """What stands under `pools:`, `models:`, `finetuned:` or `swaps:`, by name.

    Raises:
        ParamsError: it is no mapping of names, with the line.
    """
    content = load_yaml(path)
    found = content.get(kind)
    if found is None:
        return {}
    keys = [key for key in found if not isinstance(key, str)] if isinstance(found, dict) else []
    if keys or not isinstance(found, dict):
        wrong, place = (keys[0], (kind, keys[0])) if keys else (found, (kind,))
        line = line_of(content, place)
        problem = f"`{kind}` holds `{shown(wrong)}` where a name and its settings are meant"
        raise ParamsError(f"{path}:{line}", problem, f"write `{kind}: {{}}` or a name below it")
    return dict(found)


def refuse_identities(path: Path = PARAMS_FILE) -> None:
    """Check that nobody stands in params.yaml under `identities:`, as people did before 0.2.

    Raises:
        ParamsError: with the command that moves it.
    """
    content = load_yaml(path)
    if content.get("identities"):
        subject = f"{path}:{line_of(content, ('identities',))}"
        problem = "people have folders of their own now (data/identities/)"
        raise ParamsError(subject, problem, "run `likeness sync` to move them")


def swap_overrides(stage: str) -> Callable[[dict[str, str], Path], dict[str, Any]]:
    """Give `Stage.overrides` of a swap-level stage: what `swaps.<swap>.<stage>` says.

    The swap's name is the stage's option `swap`. A key given there replaces the one of the
    stage's section for this swap alone.

    Raises:
        ParamsError: when called, if params.yaml knows no such swap.
    """

    def overrides(options: dict[str, str], params_file: Path) -> dict[str, Any]:
        entry = load_entry("swaps", options["swap"], SwapEntry, params_file)
        return dict(getattr(entry, stage))

    return overrides
