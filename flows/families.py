"""Families as rows: what they state of themselves, and how fast they were on this machine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.process import environment
from likeness.contracts.documents import load_yaml, read_json, write_json
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import LikenessError
from likeness.contracts.families import family_names

MEASURED = Path(".likeness/bench/families.json")
"""Left by `make bench ONLY=families`: {family: {"train_images_s": ..., "swap_ms": ...}}."""
SPEEDS = ("train_images_s", "swap_ms")
COLUMNS = ("family", "mode", "for", "needs", "side", "parameters", "step", "images/s", "ms a crop")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def describe(root: Path, say: Callable[[str], object] = _tell) -> list[dict[str, Any]]:
    """One row per family, sorted; memory of a step at the batch of params.yaml.

    What is counted follows from the code, the version of torch and the batch alone: it is kept
    until one of them changes.

    Args:
        root: folder of the repository.
        say: told of each family while it is counted, which takes seconds.

    Raises:
        LikenessError: a family cannot be built; its own last line says why.
    """
    train = load_yaml(root / "params.yaml").get("train") or {}
    given = (("--batch", "batch_images"), ("--parts", "micro_batches"))
    sizes = [part for flag, key in given if key in train for part in (flag, str(train[key]))]
    note, state = root / state_folder() / "families.json", _state(root, sizes)
    kept = read_json(note) if note.is_file() else {}
    if kept.get("state") != state:
        kept = {"state": state, "rows": counted(root, sizes, say)}
        write_json(note, kept)
    measured = read_json(root / MEASURED) if (root / MEASURED).is_file() else {}
    rows: list[dict[str, Any]] = kept["rows"]
    for row in rows:
        row |= {speed: measured.get(row["family"], {}).get(speed) for speed in SPEEDS}
    return rows


def _state(root: Path, sizes: Sequence[str]) -> str:
    """Changes with whatever a count follows from."""
    digest = hashlib.sha256(json.dumps([version("torch"), *sizes]).encode())
    for path in sorted((root / "models").rglob("*.py")):
        digest.update(path.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def counted(root: Path, sizes: Sequence[str], say: Callable[[str], object]) -> list[dict[str, Any]]:
    """Rows of all families, counted anew by a process of its own.

    Raises:
        LikenessError: see `describe`.
    """
    names = family_names(root)
    say(f"counting {len(names)} families; the next time this is known at once")
    command = [sys.executable, "-m", "models.families", *sizes]
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as child,
    ):
        for line in child.stdout or ():
            rows.append(json.loads(line))
            say(f"  {rows[-1]['family']} ({len(rows)} of {len(names)})")
        if child.wait() != 0:
            errors.seek(0)
            said = errors.read().strip().splitlines() or ["no reason given"]
            raise LikenessError("models.families", said[-1], "correct the family named there")
    return rows


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:g}"


def _memory(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**30:.1f} GiB"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row for people, in the order of `COLUMNS`."""
    speeds = ["-" if row[name] is None else f"{row[name]:.1f}" for name in SPEEDS]
    needs = ", ".join(["crop", *row["needs"]])
    shown = (row["family"], row["mode"], row["for"], needs, f"{row['size_px']} px")
    return (*shown, _count(row["parameters"]), _memory(row["step_bytes"]), *speeds)
