"""Benchmarks: one result per name, measured beside its baseline in the same run."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from likeness.contracts.documents import write_json

RESULTS = Path("benchmarks/results.json")


@dataclasses.dataclass(frozen=True)
class Result:
    """One line of benchmarks/results.json.

    Attributes:
        name: such as "detect.default".
        ours: figure of this project, in `unit`.
        baseline: the same figure of the named baseline.
        ratio: how many times better ours is (over 1 is better).
        unit: of both figures, such as "frames/s" or "ms/face".
    """

    name: str
    ours: float
    baseline: float
    ratio: float
    unit: str


def rate(name: str, ours: float, baseline: float, unit: str) -> Result:
    """Result of figures where more is better (frames/s)."""
    return Result(name, ours, baseline, ours / baseline, unit)


def cost(name: str, ours: float, baseline: float, unit: str) -> Result:
    """Result of figures where less is better (ms, bytes)."""
    return Result(name, ours, baseline, baseline / ours, unit)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of one call, and what it returned."""
    began = time.perf_counter()
    value = work()
    return time.perf_counter() - began, value


def best(work: Callable[[], Any], repeats: int = 3) -> float:
    """Shortest of several calls in seconds: what the machine can do when nothing disturbs it."""
    return min(seconds(work)[0] for _ in range(repeats))


def load(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Results written so far; none is an empty list."""
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    return list(content)


def record(results: Iterable[Result], path: Path = RESULTS) -> None:
    """Print results and merge them into results.json, by name; others stay."""
    known = {entry["name"]: entry for entry in load(path)}
    for result in results:
        line = f"{result.name}: {result.ours:.4g} against {result.baseline:.4g} {result.unit}"
        print(f"{line}, ratio {result.ratio:.2f}", flush=True)
        rounded = dataclasses.asdict(result)
        known[result.name] = {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in rounded.items()
        }
    write_json(path, [known[name] for name in sorted(known)])
