"""Every value of params.yaml, asked of the classes that read it, before any stage runs.

    python -m tasks._settings params.yaml

A value that is not allowed would otherwise be told when its stage begins, which may be hours later.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from likeness.contracts.choices import choices
from likeness.contracts.commands import ended
from likeness.contracts.documents import line_of, load_yaml, validate
from likeness.contracts.errors import ParamsError
from likeness.contracts.params.sections import SECTIONS
from likeness.contracts.pools import FinetuneEntry, PoolEntry, load_model
from likeness.contracts.sections import (
    PARAMS_FILE,
    ModelEntry,
    SwapEntry,
    entry_names,
    load_entries,
    load_entry,
    load_section,
    refuse_identities,
)
from likeness.contracts.yamltext import Mapped

ENTRIES = ("pools", "models", "finetuned", "swaps")
SWAP_STAGES = ("convert", "blend", "evaluate", "publish")
"""Stages whose section a swap may replace keys of."""


def check_sections(path: Path) -> None:
    """Check each section against its class, and that each has one.

    Raises:
        ParamsError: file, line and key of the first that is not allowed.
    """
    refuse_identities(path)
    content = load_yaml(path)
    for name in content:
        if name not in SECTIONS and name not in ENTRIES:
            subject = f"{path}:{line_of(content, (name,))}"
            step = choices(name, sorted({*SECTIONS, *ENTRIES}))
            raise ParamsError(subject, f"unknown section `{name}`", step)
    for name, model in SECTIONS.items():
        judged(name, load_section(name, model, path), f"{path}:{line_of(content, (name,))}")


def judged(section: str, params: BaseModel, subject: str) -> None:
    """Check what a class leaves to its stage: that each gate names a metric.

    Raises:
        ParamsError: a gate that does not.
    """
    if section != "evaluate":
        return
    from likeness.evaluation import summary

    try:
        nothing = summary.summarise(summary.blank(), np.zeros(0, int), np.nan)
        summary.verdicts(nothing, params.gates)  # type: ignore[attr-defined]  # EvaluateParams has
    except ParamsError as error:
        raise ParamsError(subject, f"{error.subject} {error.problem}", error.next_step) from None


def replaced(section: object, own: Mapping[str, Any]) -> Mapped:
    """A section with what an entry replaces; its lines are those of the entry."""
    made = Mapped({**(section if isinstance(section, dict) else {}), **own})
    if isinstance(own, Mapped):
        made.lc = own.lc
    return made


def check_swaps(path: Path) -> None:
    """Check what each swap replaces, together with what it leaves.

    Raises:
        ParamsError: file, line and key.
    """
    content = load_yaml(path)
    for name in entry_names("swaps", path):
        load_entry("swaps", name, SwapEntry, path)
        entry = content["swaps"][name]
        for stage in SWAP_STAGES:
            if stage in entry:
                merged, place = replaced(content.get(stage), entry[stage]), ("swaps", name, stage)
                found = validate(SECTIONS[stage], merged, path, place)
                judged(stage, found, f"{path}:{line_of(content, place)}")


def check_models(path: Path) -> None:
    """Check each model's family settings, and what it replaces of `train:`.

    Raises:
        ParamsError: file, line and key; also a family that does not exist.
    """
    from models.swappers import registry

    content = load_yaml(path)
    for kind, entry_class in (("models", ModelEntry), ("finetuned", FinetuneEntry)):
        for name, entry in load_entries(kind, path).items():
            load_entry(kind, name, entry_class, path)
            model = load_model(name, path)
            try:
                config = registry.load_class(model.family).Config
            except ParamsError as error:
                subject = f"{path}:{line_of(content, (kind, name, 'family'))}"
                raise ParamsError(subject, f"`{model.family}` is no family", error.next_step)  # noqa: B904  # the same error, with its place
            own = Mapped({k: v for k, v in entry.items() if k not in entry_class.model_fields})
            own.lc = entry.lc
            inherited = {k: v for k, v in model.settings.items() if k not in own}
            validate(config, replaced(inherited, own), path, (kind, name))
            merged = replaced(content.get("train"), replaced(model.train, entry.get("train") or {}))
            validate(SECTIONS["train"], merged, path, (kind, name, "train"))


def check(path: Path = PARAMS_FILE) -> None:
    """Check everything that params.yaml says.

    Raises:
        ParamsError: file, line, key and what is allowed, of the first thing wrong.
    """
    check_sections(path)
    for name in entry_names("pools", path):
        load_entry("pools", name, PoolEntry, path)
    check_swaps(path)
    if entry_names("models", path) or entry_names("finetuned", path):
        check_models(path)


def main() -> int:
    """Check the file named; 0, or 2 with one line."""
    parser = argparse.ArgumentParser(prog="python -m tasks._settings", description=__doc__)
    parser.add_argument("params", type=Path, nargs="?", default=PARAMS_FILE)
    given = parser.parse_args()
    return ended(lambda: check(given.params), given.params, "interrupted; nothing was changed")


if __name__ == "__main__":
    sys.exit(main())
