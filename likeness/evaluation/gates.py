"""Gates: bounds on the numbers of metrics.json, stated in params.yaml, and whether they hold.

A bound is written by its path (`identity_cosine.source: ">= 0.35"`) or in short, as a person
would say it (`identity_cosine >= 0.35`). Imports no arrays, so that the command line reads the
same bounds as the stage.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from likeness.contracts.errors import ParamsError
from likeness.metrics.catalogue import CENTRES, short_names

Tree = dict[str, Any]
Gates = Mapping[str, str] | Sequence[str]
"""As params.yaml states them: path -> bound, or lines of path and bound."""

NUMBER = r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
BOUND = re.compile(rf"\s*(>=|<=|>|<)\s*({NUMBER})\s*")
LINE = re.compile(rf"\s*([A-Za-z_][\w.-]*)\s*((?:>=|<=|>|<)\s*{NUMBER})\s*")
SECTION = "evaluate.gates"
ALIASES = short_names()
"""Short names of paths that do not end in one of `CENTRES`."""


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested mappings by dotted path."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        found |= leaves(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return found


def numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """What a bound can be stated on, by dotted path; None was not measured.

    Verdicts themselves, words and switches are left out.
    """
    measured = {key: value for key, value in metrics.items() if not key.startswith("gates")}
    return {
        path: value
        for path, value in leaves(measured).items()
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    }


def path_of(name: str, known: Iterable[str]) -> str | None:
    """The path that `name` means: itself, an alias, or the metric's mean; None if there is none."""
    paths = set(known)
    candidates = (name, ALIASES.get(name, name), *(f"{name}.{centre}" for centre in CENTRES))
    return next((path for path in candidates if path in paths), None)


def resolved(gates: Gates, known: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Bounds by path, both sorted; one metric may have several.

    Args:
        gates: as params.yaml states them.
        known: paths of metrics.json.

    Raises:
        ParamsError: no metric has this name, or a line or bound cannot be read.
    """
    paths = sorted(known)
    found: dict[str, set[str]] = {}
    for name, bound in _stated(gates):
        path = path_of(name, paths)
        if path is None:
            raise ParamsError(f"{SECTION}.{name}", "is no metric", nearest(name, paths))
        found.setdefault(path, set()).add(" ".join(bound.split()))
    return {path: tuple(sorted(bounds)) for path, bounds in sorted(found.items())}


def nearest(name: str, paths: Sequence[str]) -> str:
    """The next step for a metric that does not exist: the few nearest names, not all 150."""
    short = [alias for alias, meant in sorted(ALIASES.items()) if meant in paths]
    short += [path.removesuffix(f".{c}") for path in paths for c in CENTRES if path.endswith(c)]
    close = difflib.get_close_matches(name, sorted({*short, *paths}), n=3)
    hint = f"did you mean {' or '.join(f'`{one}`' for one in close)}? " if close else ""
    return f"{hint}the names are the keys of metrics.json (docs/how-to/gate.md)"


def joined(bounds: Iterable[str]) -> str:
    """Bounds on one metric as a person reads them."""
    return " and ".join(bounds)


def _stated(gates: Gates) -> list[tuple[str, str]]:
    """(name, bound) of each gate, both forms."""
    if isinstance(gates, Mapping):
        pairs = [(str(name), str(bound)) for name, bound in gates.items()]
        for name, bound in pairs:
            if BOUND.fullmatch(bound) is None:
                problem = f"`{bound}` is no bound"
                raise ParamsError(f"{SECTION}.{name}", problem, 'write for example ">= 0.35"')
        return pairs
    found = []
    for text in gates:
        line = LINE.fullmatch(str(text))
        if line is None:
            step = 'write for example "identity_cosine >= 0.35"'
            raise ParamsError(SECTION, f"`{text}` is no bound on a metric", step)
        found.append((line[1], line[2]))
    return found


def verdicts(metrics: Mapping[str, Any], gates: Gates) -> Tree:
    """Whether the bounds hold: path -> {bound, value, passed}.

    For example `verdicts(metrics, {"identity_cosine.source": ">= 0.35"})`. A value that was not
    measured holds no bound.

    Raises:
        ParamsError: an unknown metric, or a bound that is none.
    """
    values = numbers(metrics)
    return {
        path: {
            "bound": joined(bounds),
            "value": values[path],
            "passed": all(holds(values[path], bound) for bound in bounds),
        }
        for path, bounds in resolved(gates, values).items()
    }


def holds(value: float | None, bound: str) -> bool:
    """Whether `value` keeps a bound such as ">= 0.35"; one that was not measured keeps none."""
    parts = BOUND.fullmatch(bound)
    if value is None or parts is None:
        return False
    sign, limit = parts[1], float(parts[2])
    return {
        ">=": value >= limit,
        "<=": value <= limit,
        ">": value > limit,
        "<": value < limit,
    }[sign]
