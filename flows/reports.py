"""reports/: a page for every swap and an index over all of them, for people.

A swap's page is the one that stage `evaluate` wrote, with two things laid into it that no stage
may know: the comparison with the last committed run, and what the lock files say it is made from.
Everything here reads files that exist; nothing is measured and nothing is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.history import last_committed
from likeness.contracts.atomic import write_text
from likeness.contracts.choices import choices
from likeness.contracts.documents import load_yaml, read_json
from likeness.contracts.errors import CatalogError, GraphError, LikenessError
from likeness.evaluation.report import changes, figures, html, rows, verdict
from likeness.metrics.catalogue import ELSEWHERE

REPORTS = Path("reports")
INDEX = REPORTS / "index.html"
THUMBNAIL_PX, THUMBNAIL_SHARE = 520, 0.72


@dataclass(frozen=True)
class Swap:
    """A swap of params.yaml, and what `evaluate` has said of it.

    Attributes:
        name: its name.
        entry: what params.yaml says: source, target, model.
        folder: where its outputs stand, relative to the root.
        metrics: content of metrics.json; None while it is not evaluated.
    """

    name: str
    entry: Mapping[str, Any]
    folder: Path
    metrics: dict[str, Any] | None

    @property
    def page(self) -> Path:
        """The page of stage `evaluate`."""
        return self.folder / "report/report.html"

    @property
    def report(self) -> Path:
        """The page that `likeness report` makes of it."""
        return REPORTS / f"{self.name}.html"


def find_swaps(root: Path, names: Sequence[str] = ()) -> list[Swap]:
    """Swaps of params.yaml in its order: those in `names`, else all.

    Raises:
        CatalogError: a name that params.yaml does not know.
        LikenessError: a metrics.json that is no JSON.
    """
    entries = load_yaml(root / "params.yaml").get("swaps") or {}
    for name in names:
        if name not in entries:
            raise CatalogError(name, "no such swap in params.yaml", choices(name, entries))
    return [_swap(root, name, entries[name]) for name in dict.fromkeys(names or entries)]


def _swap(root: Path, name: str, entry: Mapping[str, Any]) -> Swap:
    folder = Path("data/swaps") / name
    metrics = root / folder / "report/metrics.json"
    there = metrics.is_file() and (root / folder / "report/report.html").is_file()
    return Swap(name, entry, folder, read_json(metrics) if there else None)


def since(swap: Swap, root: Path) -> str:
    """The section on what changed since the last committed run, as HTML."""
    now = swap.metrics or {}
    before = last_committed(root, f"{swap.folder}/report/metrics.json", now)
    found = changes.changes(before.metrics, now) if before else []
    moved = [change for change in found if change.mark != changes.SAME]
    both = [change for change in moved if None not in (change.before, change.after)]
    gates = [verdict.badge(metrics) for metrics in (before.metrics if before else {}, now)]
    return html.page(
        "since.html.j2",
        before=before,
        changes=[change.cells() for change in both if change.matters],
        small=[change.cells() for change in both if not change.matters],
        fresh=[change.line.label for change in moved if change.before is None],
        gone=[change.line.label for change in moved if change.after is None],
        unchanged=len(found) - len(moved),
        gates=gates,
    )


def annex(swap: Swap, root: Path) -> str:
    """The section on what the lock files record behind the swap, as HTML; empty without any.

    Raises:
        LikenessError: lock files or clips that cannot be read.
    """
    from likeness.provenance.lineage import behind, read_locks
    from likeness.provenance.record import clips_behind, footage_entries

    path = f"{swap.folder}/report/metrics.json"
    if not read_locks(root).writers(path):
        return ""
    lineage, stages = behind(root, [path])
    settings = [
        {"stage": stage.address, "params": json.dumps(stage.params, indent=2, sort_keys=True)}
        for stage in stages
        if any(stage.params.values())
    ]
    return html.page(
        "annex.html.j2",
        footage=footage_entries(clips_behind(stages, root), stages),
        settings=settings,
        stages=[stage.as_dict() for stage in stages],
        stale=lineage.stale(stages),
    )


def write_swap(swap: Swap, root: Path) -> Path:
    """Write reports/<swap>.html; returns its path, relative to `root`."""
    text = (root / swap.page).read_text(encoding="utf-8")
    try:
        behind = annex(swap, root)
    except LikenessError as error:  # a clip taken away since: the rest of the page still holds
        behind = html.page("annex.html.j2", footage=[], settings=[], stages=[], stale=[error])
    text = text.replace(html.SINCE, since(swap, root), 1).replace(html.ANNEX, behind, 1)
    write_text(root / swap.report, text)
    return swap.report


def _thumbnail(path: Path) -> str:
    """The upper part of a contact sheet as a data address; empty if there is none."""
    from likeness.media.thumbnails import thumbnail

    try:
        return html.data_uri(thumbnail(path.read_bytes(), THUMBNAIL_PX, THUMBNAIL_SHARE))
    except (OSError, ValueError):
        return ""


def _elsewhere(root: Path) -> dict[str, Any]:
    """Metrics of the stages over all swaps, by name, as far as they have run."""
    paths = {name: root / "data" / name / "metrics.json" for name in ELSEWHERE}
    return {name: read_json(path) for name, path in paths.items() if path.is_file()}


def _told(name: str, content: Mapping[str, Any], swap: str) -> dict[str, str]:
    """What such a stage says of one swap: label, value, and a hint or the reason for none."""
    found: Mapping[str, Any] = (content.get("swaps") or {}).get(swap) or {}
    line = figures.line_of(ELSEWHERE[name])
    value = line.value(found)
    low, high = (figures.value_at(found, end) for end in ("low", "high"))
    hint = str(found.get("reason") or content.get("reason") or "")
    if value is not None and low is not None and high is not None:
        hint = f"95 %: {figures.shown(low, line.format)} to {figures.shown(high, line.format)}"
    elif value is not None and "frames" in found:
        hint = f"of {found['frames']} frames"
    return {"label": line.label, "hint": hint, "value": figures.shown(value, line.format)}


def _key_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The few metrics that the index shows, each with two baselines."""
    found = {line.path: line for line in rows.lines(metrics)}
    return [
        {
            "label": line.label,
            "hint": line.hint,
            "better": line.better,
            "arrow": rows.ARROWS[line.better],
            "value": figures.shown(line.value(metrics), line.format),
            "copied": figures.shown(line.baseline(metrics, "target_copied"), line.format),
            "pasted": figures.shown(line.baseline(metrics, "source_pasted"), line.format),
        }
        for line in (found[path] for path in figures.KEY_PATHS if path in found)
    ]


def _card(swap: Swap, root: Path, others: Mapping[str, Any]) -> dict[str, Any]:
    """A swap as the index shows it."""
    card: dict[str, Any] = {
        "name": swap.name,
        "entry": swap.entry,
        "metrics": swap.metrics,
        "others": [_told(name, content, swap.name) for name, content in others.items()],
    }
    if swap.metrics is None:
        return card
    films = ("published.mp4", "render.mp4")
    return card | {
        "thumbnail": _thumbnail(root / swap.folder / "report/contact_sheet.jpg"),
        "badge": verdict.badge(swap.metrics),
        "gates": [gate for gate in verdict.gates(swap.metrics) if not gate["passed"]],
        "verdict": verdict.sentences(swap.metrics)[0],
        "rows": _key_rows(swap.metrics),
        "links": [(film, f"../{swap.folder}/{film}") for film in films
                  if (root / swap.folder / film).is_file()],
    }  # fmt: skip


def write_index(swaps: Sequence[Swap], root: Path) -> Path:
    """Write reports/index.html over `swaps`; returns its path, relative to `root`."""
    others = _elsewhere(root)
    cards = [_card(swap, root, others) for swap in swaps]
    write_text(root / INDEX, html.page("index.html.j2", cards=cards))
    return INDEX


def write_reports(root: Path, names: Sequence[str] = ()) -> list[Path]:
    """Write the pages of the swaps in `names` (all by default), and the index over all.

    Returns:
        Paths relative to `root`, the index last.

    Raises:
        CatalogError: a name that params.yaml does not know.
        GraphError: a swap in `names` that has not been evaluated.
    """
    everything = find_swaps(root)
    chosen = find_swaps(root, names) if names else everything
    for swap in chosen:
        if names and swap.metrics is None:
            raise GraphError(swap.name, "has no report yet", f"run `likeness swap {swap.name}`")
    written = [write_swap(swap, root) for swap in chosen if swap.metrics is not None]
    return [*written, write_index(everything, root)]
