"""What `evaluate` decided about the gates of each swap, and whether that is still what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.contracts.choices import choices
from likeness.contracts.documents import load_yaml, read_json
from likeness.contracts.errors import CatalogError, LikenessError, ParamsError
from likeness.evaluation.gates import Gates, joined, numbers, resolved


@dataclass(frozen=True)
class Verdict:
    """One gate of one swap.

    Attributes:
        swap: its name.
        metric: path in metrics.json.
        bound: such as ">= 0.35".
        value: what was measured; None: nothing was.
        passed: whether the bound holds.
    """

    swap: str
    metric: str
    bound: str
    value: float | None
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def known_swaps(root: Path, names: Sequence[str]) -> list[str]:
    """The swaps of params.yaml, or those of `names`, in the order of params.yaml.

    Raises:
        CatalogError: a name that params.yaml does not know.
    """
    known = list(load_yaml(root / "params.yaml").get("swaps") or {})
    for name in names:
        if name not in known:
            step = choices(name, known, none="none; add one under swaps: in params.yaml")
            raise CatalogError(name, "no such swap", step)
    return [name for name in known if not names or name in names]


def stated_gates(root: Path, swap: str) -> Gates:
    """Bounds that params.yaml states for a swap: its own, else those of all.

    Raises:
        ParamsError: they are neither a mapping nor a list.
    """
    content = load_yaml(root / "params.yaml")
    own = (content["swaps"][swap] or {}).get("evaluate") or {}
    where, section = (f"swaps.{swap}.evaluate", own) if "gates" in own else (
        "evaluate", content.get("evaluate") or {}
    )  # fmt: skip
    gates = section.get("gates") or {}
    if not isinstance(gates, dict | list):
        step = 'write for example `- "identity_cosine >= 0.35"` below it'
        raise ParamsError(root / "params.yaml", f"`{where}.gates` is no list of bounds", step)
    return gates


def verdicts_of(root: Path, swap: str) -> list[Verdict]:
    """Verdicts on one swap, as its metrics.json holds them; none where no gate is stated.

    Raises:
        LikenessError: there is no report yet, or it was made for other bounds.
    """
    gates = stated_gates(root, swap)
    path = Path("data/swaps") / swap / "report/metrics.json"
    if not gates and not (root / path).is_file():
        return []
    step = f"run `likeness swap {swap}`"
    if not (root / path).is_file():
        raise LikenessError(path, "does not exist, and the swap has gates", step)
    metrics = read_json(root / path)
    bounds = {metric: joined(bound) for metric, bound in resolved(gates, numbers(metrics)).items()}
    judged = metrics.get("gates") or {}
    if {metric: entry["bound"] for metric, entry in judged.items()} != bounds:
        raise LikenessError(path, "was judged by other gates than params.yaml states now", step)
    return [
        Verdict(swap, metric, entry["bound"], entry["value"], bool(entry["passed"]))
        for metric, entry in sorted(judged.items())
    ]
