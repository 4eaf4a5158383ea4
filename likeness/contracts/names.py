"""Names out of YAML files: checked before they become part of a path, never part of a command.

DVC puts what it interpolates into `cmd` into a shell's line as it stands. So no `cmd` of ours
interpolates anything: it says `%clip%` or `%models.source%`, and the stage itself, which DVC tells
its address (DVC_STAGE), fills that in from the checked documents.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from likeness.contracts.catalog import (
    DATA,
    SLUG,
    list_clips,
    list_identities,
    load_clip,
    load_identity,
    require_slug,
)
from likeness.contracts.documents import line_of, load_yaml
from likeness.contracts.errors import LikenessError, ParamsError
from likeness.contracts.orphans import dvc_above
from likeness.contracts.sections import refuse_identities

PLACE = re.compile(r"%([a-z_]+(?:\.[a-z_]+)?)%")
MODULE = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
"""Names of packs and families: file names, so with underscores."""
ENTRIES: dict[str, dict[str, re.Pattern[str]]] = {
    "pools": {},
    "models": {"source": SLUG, "target": SLUG, "family": MODULE},
    "finetuned": {"source": SLUG, "target": SLUG, "family": MODULE, "init_from": SLUG},
    "swaps": {"source": SLUG, "target": SLUG, "model": SLUG},
}
"""Section of params.yaml whose keys name outputs -> keys whose values name inputs."""
ALLOWED = "use a-z, 0-9 and '-', for example `studio-take-3`"


def check_names(params_file: Path, data: Path = DATA) -> None:
    """Check every name that becomes part of a path: entries of params.yaml, clips, identities.

    Raises:
        ParamsError, CatalogError: file, line and key of the first that is not allowed.
    """
    refuse_identities(params_file)
    content = load_yaml(params_file)
    pack = content.get("pack")
    if isinstance(pack, dict) and "name" in pack:
        _require(pack["name"], MODULE, content, ("pack", "name"), params_file)
    for section, values in ENTRIES.items():
        entries = content.get(section) or {}
        if not isinstance(entries, dict):
            subject = f"{params_file}:{line_of(content, (section,))}"
            raise ParamsError(subject, f"`{section}` is no mapping", "write `name:` lines below it")
        for key, entry in entries.items():
            _require(key, SLUG, content, (section, key), params_file, key=True)
            for name, pattern in values.items():
                if isinstance(entry, dict) and name in entry:
                    place = (section, key, name)
                    _require(entry[name], pattern, content, place, params_file)
    list_identities(data)
    list_clips(data)


def _require(
    value: object,
    pattern: re.Pattern[str],
    content: object,
    place: tuple[str, ...],
    file: Path,
    *,
    key: bool = False,
) -> None:
    if isinstance(value, str) and pattern.fullmatch(value):
        return
    where = ".".join(map(str, place[:-1] if key else place))
    problem = f"`{where}` names {str(value)!r}, which is no valid name"
    raise ParamsError(f"{file}:{line_of(content, place)}", problem, ALLOWED)


class Filler:
    """Fills places such as `%clip%` in a stage's arguments.

    Args:
        address: what DVC calls the stage (environment variable DVC_STAGE): `train@x`,
            `data/clips/take-3/dvc.yaml:align`.
        params_file: whose entries `%models.source%` reads.
    """

    def __init__(self, params_file: Path, address: str | None = None, data: Path = DATA) -> None:
        self.address = os.environ.get("DVC_STAGE", "") if address is None else address
        self.params_file, self.data = params_file, data

    def fill(self, text: str) -> str:
        """`text` with its places filled in.

        Raises:
            LikenessError: a place that this stage does not know, or a name that is not allowed.
        """
        return PLACE.sub(lambda found: self._value(found[1]), text)

    def _value(self, place: str) -> str:
        section, _, name = place.partition(".")
        if place == "key":
            return self._key()
        if name:
            return self._param(section, name)
        known = self._document()
        if place not in known:
            raise LikenessError(f"%{place}%", "is no name that a stage knows", "correct dvc.yaml")
        return known[place]

    def _key(self) -> str:
        key = self.address.partition("@")[2]
        if not self.address:
            step = "start it with `dvc repro`, or write the name in its place"
            raise LikenessError("%key%", "the stage was not started by DVC", step)
        return require_slug("entry", key)

    def _param(self, section: str, name: str) -> str:
        content = load_yaml(self.params_file)
        entry: Any = content.get(section) or {}
        place: tuple[str, ...] = (section, name)
        if section in ENTRIES:
            key = self._key()
            entry, place = entry.get(key) or {}, (section, key, name)
        if not isinstance(entry, dict) or name not in entry:
            problem = f"key `{'.'.join(place)}` is missing"
            raise ParamsError(self.params_file, problem, f"add `{name}:`")
        pattern = ENTRIES.get(section, {}).get(name, MODULE)
        _require(entry[name], pattern, content, place, self.params_file)
        return str(entry[name])

    def _document(self) -> dict[str, str]:
        """Names in the document beside the dvc.yaml that holds the stage."""
        parts = self._folder().split("/")
        if len(parts) != 3 or parts[0] != "data" or parts[1] not in ("clips", "identities"):
            step = "run `dvc repro` in the folder that holds params.yaml"
            raise LikenessError(self.address or "stage", "DVC does not say of which folder", step)
        home = parts[1]
        folder = self.data / home / require_slug(home, parts[2])
        if home == "identities":
            return load_identity(folder / "identity.yaml").model_dump()
        return load_clip(folder / "clip.yaml").model_dump()

    def _folder(self) -> str:
        """Folder of the dvc.yaml that holds the stage, seen from the root; "" if nothing says it.

        DVC gives addresses relative to where it was started, and that of a stage in that very
        folder without any path: `align`, where the root would say `data/clips/x/dvc.yaml:align`.
        """
        file = self.address.partition("dvc.yaml:")[0] if "dvc.yaml:" in self.address else ""
        if file.startswith("data/"):
            return file.rstrip("/")
        started = _started_in() if self.address else ""
        return os.path.relpath(Path(started, file)) if started else ""


def _started_in() -> str:
    """Folder that the DVC above this stage works in; "" if it cannot be asked."""
    import psutil  # seldom needed, and every stage imports this module

    pid = dvc_above()
    try:
        return str(psutil.Process(pid).cwd()) if pid else ""
    except (psutil.Error, OSError):
        return ""
