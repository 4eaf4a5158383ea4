"""Stages as lock files record them, and what dvc.yaml files declare; read without DVC."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from likeness.contracts.documents import read_json
from likeness.contracts.errors import GraphError
from likeness.provenance.lockfile import LOCK, Signature, read_lock, signature

MANIFESTS, POOL = "data/manifests", "pool@"


@dataclass(frozen=True)
class Artefact:
    """A file or folder as a stage saw it.

    Attributes:
        path: relative to the repository.
        md5: DVC's hash; that of a folder ends with ".dir". Empty where DVC recorded none.
        size_bytes: as recorded, or None.
    """

    path: str
    md5: str
    size_bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"path": self.path, "md5": self.md5, "size_bytes": self.size_bytes}


@dataclass(frozen=True)
class Ran:
    """A stage as it last ran.

    Attributes:
        address: as DVC names it: "data/clips/ann/dvc.yaml:align" or "train@ann-on-ben".
        command: what was run.
        params: parameter file -> key -> value.
        deps, outs: what it read and wrote.
        used: the files below its folders that made a difference, where it is known that the
            others did not; None if all of `deps` count.
    """

    address: str
    command: str
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    deps: tuple[Artefact, ...] = ()
    outs: tuple[Artefact, ...] = ()
    used: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the stage without its file and key: "align", "train"."""
        return self.address.rpartition(":")[2].partition("@")[0]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "address": self.address,
            "command": self.command,
            "params": self.params,
            "deps": [dep.as_dict() for dep in self.deps],
            "outs": [out.as_dict() for out in self.outs],
        }


@lru_cache(maxsize=1024)
def _parse(path: Path, _sign: Signature | None) -> dict[str, Any]:
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (YAMLError, UnicodeDecodeError):
        raise GraphError(path, "is not valid YAML", "correct it, then run `dvc repro`") from None
    return content if isinstance(content, dict) else {}


def _declared(path: Path) -> dict[str, Any]:
    """Stages of a dvc.yaml, those of `foreach` as their body; parsed once per change."""
    found = _parse(path, signature(path)).get("stages") or {}
    return {name: stage.get("do") or stage for name, stage in found.items() if stage}


def _normal(folder: PurePosixPath, relative: str) -> str:
    """`relative` to `folder`, relative to the repository, without "..": "a/b/../c" -> "a/c"."""
    parts: list[str] = []
    for part in (folder / relative).parts:
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return "/".join(parts)


def _artefacts(folder: PurePosixPath, entries: Iterable[dict[str, Any]]) -> tuple[Artefact, ...]:
    return tuple(
        Artefact(_normal(folder, entry["path"]), str(entry.get("md5") or ""), entry.get("size"))
        for entry in entries
    )


def ran_in(root: Path, folder: PurePosixPath) -> Iterator[Ran]:
    """Stages of the dvc.lock in `folder`; its paths are relative to each stage's wdir."""
    declared = _declared(root / folder / "dvc.yaml")
    for name, entry in sorted(read_lock(root / folder / LOCK, root).items()):
        stage = declared.get(name.partition("@")[0]) or {}
        where = PurePosixPath(_normal(folder, str(stage.get("wdir") or ".")))
        own = "" if folder == PurePosixPath(".") else f"{folder}/dvc.yaml:"
        params = {_normal(where, f): values for f, values in (entry.get("params") or {}).items()}
        outs = _artefacts(where, entry.get("outs") or ())
        yield Ran(
            f"{own}{name}",
            str(entry.get("cmd", "")),
            params,
            _artefacts(where, entry.get("deps") or ()),
            outs,
            _trained_on(root, outs) if name.startswith(POOL) else None,
        )


def _trained_on(root: Path, outs: tuple[Artefact, ...]) -> tuple[str, ...] | None:
    """Manifests of the members of a pool that models learn from.

    Stage `pool` looks at everybody's, but whoever it holds or leaves out is in nobody's lineage.
    """
    for out in outs:
        path = root / out.path / "pool.json"
        if path.is_file():
            members = read_json(path)["members"]
            return tuple(f"{MANIFESTS}/{m['identity']}.json" for m in members if not m["held_out"])
    return None


def made_in(root: Path, folder: PurePosixPath) -> Iterator[str]:
    """Expressions for the outputs that the dvc.yaml in `folder` declares: `${key}` is any name."""
    for stage in _declared(root / folder / "dvc.yaml").values():
        where = PurePosixPath(_normal(folder, str(stage.get("wdir") or ".")))
        for kind in ("outs", "metrics", "plots"):
            for item in stage.get(kind) or ():
                path = item if isinstance(item, str) else next(iter(item))
                parts = re.split(r"\$\{[^}]*\}", _normal(where, path))
                yield "[^/]+".join(map(re.escape, parts))
