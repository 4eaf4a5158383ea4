"""Families as rows: what they state of themselves, and how fast they were on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from flows.process import environment
from likeness.contracts.documents import load_yaml, read_json
from likeness.contracts.errors import LikenessError

MEASURED = Path(".likeness/bench/families.json")
"""Left by `make bench ONLY=families`: {family: {"train_images_s": ..., "swap_ms": ...}}."""
SPEEDS = ("train_images_s", "swap_ms")
COLUMNS = ("family", "mode", "for", "needs", "side", "parameters", "step", "images/s", "ms a crop")


def describe(root: Path) -> list[dict[str, Any]]:
    """One row per family, sorted; memory of a step at the batch of params.yaml.

    Raises:
        LikenessError: a family cannot be built; its own last line says why.
    """
    train = load_yaml(root / "params.yaml").get("train") or {}
    given = (("--batch", "batch_images"), ("--parts", "micro_batches"))
    sizes = [part for flag, key in given if key in train for part in (flag, str(train[key]))]
    command = [sys.executable, "-m", "models.families", *sizes]
    done = subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise LikenessError("models.families", said[-1], "correct the family named there")
    measured = read_json(root / MEASURED) if (root / MEASURED).is_file() else {}
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    for row in rows:
        row |= {speed: measured.get(row["family"], {}).get(speed) for speed in SPEEDS}
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
